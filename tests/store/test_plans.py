"""Every query that pages can make is answered along an index; none reads the whole table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import TaskState
from app.store import audit, figures, queues, totals
from app.store.bulk import is_postgres
from app.store.database import Database
from app.store.labels import Kind
from app.store.relatives import relatives_of
from app.store.tasks import (
    children,
    count_unseen,
    counts,
    get,
    names,
    page,
    retries_of,
)
from app.store.unsettled import in_states, known, lost_since, some, without_value
from app.store.writer import Batch, commit
from tests.store.samples import NOON, sample

CONDITIONS: dict[str, Any] = {
    "states": (TaskState.FAILURE, TaskState.LOST),
    "names": ("shop.mail.*",),
    "queues": ("celery",),
    "workers": ("celery@w1", "celery@w2"),
    "text": "alice 4711",
    "since": NOON,
}
FILTERS = [
    TaskFilter(**dict(some)) for size in range(3) for some in combinations(CONDITIONS.items(), size)
]
PAGE_ASKS, TOTAL_ASKS = 12, 10
"""Queries of the worst of these filters; more rows must not mean more of them."""
# Bounded by a filter on its place, or the store's own way to merge what is in order already.
HARMLESS = ("USING INDEX", "USING COVERING INDEX", "USING INTEGER PRIMARY KEY", "VIRTUAL TABLE")


def _step(line: str) -> str:
    """A step of PostgreSQL's plan in SQLite's words, as far as they are looked for."""
    line = line.strip(" ->")
    for theirs, ours in (("Seq Scan on ", "SCAN "), ("Sort  ", "TEMP B-TREE ")):
        line = line.replace(theirs, ours, 1) if line.startswith(theirs) else line
    return line


@contextmanager
def plans(db: Database) -> Iterator[list[str]]:
    """What the database says it will do for each statement made meanwhile, a step a line."""
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            plain = cursor.connection.cursor()
            if is_postgres(connection):
                # Small tables are best read whole, and little is sorted soon: of large ones and
                # much the same statements are asked for.
                for way in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
                    plain.execute(f"SET LOCAL {way} = off")
                plain.execute("EXPLAIN " + statement, values)
                found.extend(f"{_step(row[0])}  <-  {statement}" for row in plain.fetchall())
            else:
                plain.execute("EXPLAIN QUERY PLAN " + statement, values)
                found.extend(f"{row[3]}  <-  {statement}" for row in plain.fetchall())
            plain.close()

    event.listen(db.engine, "before_cursor_execute", explain)
    yield found
    event.remove(db.engine, "before_cursor_execute", explain)


@pytest.fixture(scope="module")
def stored(fresh: Any) -> Database:
    db: Database = fresh()
    commit(db, Batch(tasks=[sample(number) for number in range(500)]))
    return db


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What is asked meanwhile."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def covers(step: str) -> bool:
    """Whether a step finds all that it needs in its index."""
    return "COVERING INDEX" in step or step.startswith("Index Only Scan")


def scans(found: list[str]) -> list[str]:
    return [
        step
        for step in found
        if step.startswith("SCAN tasks") and not any(way in step.split("<-")[0] for way in HARMLESS)
    ]


@pytest.mark.parametrize("sort", list(Sort))
def test_no_filter_of_the_task_list_scans_the_table(stored: Database, sort: Sort) -> None:
    for wanted in FILTERS:
        with plans(stored) as found:
            first = page(stored, wanted, sort=sort, limit=5)
            page(stored, wanted, sort=sort, limit=5, cursor=first.next)
        assert found
        bare = not (wanted.states or wanted.names or wanted.queues or wanted.workers or wanted.text)
        if not (bare and wanted.since is None):
            assert scans(found) == [], wanted


def test_no_count_scans_the_table(stored: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for counted in (1, totals.COUNTED):
        monkeypatch.setattr(totals, "COUNTED", counted)
        for wanted in FILTERS:
            with plans(stored) as found:
                totals.total(stored, wanted)
            assert scans(found) == [], wanted
            assert not [step for step in found if step.startswith("MULTI-INDEX OR")], wanted


def test_a_page_takes_few_queries_however_little_matches(stored: Database) -> None:
    # Two of labels, a probe of each index, and two or three for each of three steps.
    for sort in Sort:
        for wanted in FILTERS:
            with statements(stored) as page_asks:
                page(stored, wanted, sort=sort, limit=50)
            assert len(page_asks) <= PAGE_ASKS, wanted
    for wanted in FILTERS:
        with statements(stored) as total_asks:
            totals.total(stored, wanted)
        assert len(total_asks) <= TOTAL_ASKS, wanted


def test_labels_are_compared_in_the_index_without_a_row(stored: Database) -> None:
    narrow = TaskFilter(names=("shop.mail.send_offer",), queues=("mail",), workers=("other@w3",))
    for sort in Sort:
        with plans(stored) as found:
            page(stored, narrow, sort=sort, limit=5)
        reached = [step for step in found if "tasks" in step.split("<-")[0]]
        fetched = [step for step in reached if " INDEX tasks_" in step and not covers(step)]
        assert reached
        assert fetched == []


def test_the_first_page_reads_only_as_many_rows_as_it_shows(stored: Database) -> None:
    with plans(stored) as found:
        page(stored, TaskFilter(), limit=5)
    assert not [step for step in found if "TEMP B-TREE" in step]


def test_merged_branches_are_not_sorted(stored: Database) -> None:
    with plans(stored) as found:
        page(stored, TaskFilter(names=("shop.mail.*",)), limit=5)
        page(stored, TaskFilter(states=(TaskState.FAILURE, TaskState.LOST)), limit=5)
    assert not [step for step in found if "TEMP B-TREE" in step]


def test_other_reads_use_an_index(stored: Database) -> None:
    with plans(stored) as found:
        get(stored, "a")
        count_unseen(stored, TaskFilter(), 5, frozenset())
        children(stored, "a")
        retries_of(stored, "a")
        in_states(stored, [TaskState.PENDING, TaskState.STARTED], 5)
        lost_since(stored, NOON, 5)
        some(stored, ["a", "b"])
        known(stored, ["a", "b"])
        without_value(stored, NOON, NOON + 60, 5)
        counts(stored)
        names(stored, "shop")
        figures.series(stored, NOON, NOON + 60)
        figures.by_label(stored, Kind.NAME, NOON, NOON + 9_999_999)
        queues.depths(stored, "celery", NOON, NOON + 60)
        audit.entries(stored, "a")
        for number in range(500):
            task = sample(number)
            if task.name is not None:
                break
        relatives_of(stored, replace(task, group_id="g"))
        relatives_of(stored, replace(task, group_id="g", parent_id="a"))
    assert scans(found) == []
    assert not [step for step in found if step.startswith(("SCAN rollups", "SCAN audit"))]
