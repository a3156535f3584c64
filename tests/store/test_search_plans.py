"""What a search asks beyond lists of values is answered along indexes too, piece by piece."""

from itertools import combinations
from typing import Any

import pytest

from app.domain.arguments import Argument
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import TaskState
from app.store import pages, runtimes, totals
from app.store.bulk import is_postgres
from app.store.database import Database
from app.store.search import parts
from app.store.tasks import count_unseen, page
from app.store.writer import Batch, commit
from tests.store.samples import NOON, sample
from tests.store.test_plans import covers, plans, scans, statements

CONDITIONS: dict[str, Any] = {
    "no_names": ("shop.mail.*",),
    "no_workers": ("celery@w1",),
    "least_runtime": 0.5,
    "arguments": (Argument(("x",), ("4711",)), Argument(("0",), ("7",), True)),
    "no_text": "alice",
    "states": (TaskState.FAILURE,),
    "queues": ("celery",),
}
SINGLE = [TaskFilter(**{name: value}) for name, value in CONDITIONS.items()]
PAIRS = [TaskFilter(**dict(pair)) for pair in combinations(CONDITIONS.items(), 2)]
FILTERS = [*SINGLE, *PAIRS[::3]]
ASKS = 16
"""Queries of the worst of these filters, a page or a count; more rows must not mean more."""


@pytest.fixture(scope="module")
def stored(fresh: Any) -> Database:
    db: Database = fresh()
    commit(db, Batch(tasks=[sample(number) for number in range(500)]))
    return db


def reads_rows_alone(wanted: TaskFilter) -> bool:
    """Whether no index tells anything of it: read in order of time, a bounded piece a call."""
    indexed = (wanted.states, wanted.queues, wanted.no_names, wanted.no_workers)
    return not any(indexed) and wanted.least_runtime is None and not wanted.arguments


@pytest.mark.parametrize("sort", list(Sort))
def test_no_search_scans_the_table(
    stored: Database, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for few in (0, runtimes.SORTED):
        monkeypatch.setattr(runtimes, "SORTED", few)
        for wanted in FILTERS:
            with plans(stored) as found, statements(stored) as asked:
                first = page(stored, wanted, sort=sort, limit=5)
            assert len(asked) <= ASKS, wanted
            with plans(stored) as more:
                page(stored, wanted, sort=sort, limit=5, cursor=first.next)
                totals.total(stored, wanted)
                count_unseen(stored, wanted, 5, frozenset())
            if not reads_rows_alone(wanted):
                assert scans([*found, *more]) == [], wanted


def test_labels_that_are_left_out_are_compared_in_the_index(stored: Database) -> None:
    left_out = TaskFilter(no_names=("shop.mail.*",), no_queues=("mail",), no_workers=("other@w3",))
    for wanted in (left_out, TaskFilter(no_names=("shop.mail.*",), queues=("celery",))):
        with plans(stored) as found:
            page(stored, wanted, limit=5)
        steps = [step for step in found if "index tasks_" in step.split("<-")[0].lower()]
        steps += [step for step in found if step.startswith("Index") and " using tasks_" in step]
        reached = [step for step in steps if "tasks_pkey" not in step.split("<-")[0]]
        assert reached
        assert [step for step in reached if not covers(step)] == []


def test_runtimes_are_looked_up_where_few_ran_so_long(stored: Database) -> None:
    with plans(stored) as found:
        page(stored, TaskFilter(least_runtime=0.9, no_workers=("other@w3",)), limit=5)

    used = [step for step in found if "tasks_runtime" in step.split("<-")[0]]
    assert used
    assert all(covers(step) for step in used)


def test_a_step_looks_at_few_entries_where_hardly_any_matches(
    stored: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ENTRIES", (10,))
    monkeypatch.setattr(pages, "ROWS", (10,))
    monkeypatch.setattr(pages, "SEARCHED", 20)
    nobody = TaskFilter(names=("shop.stock.reserve",), no_names=("shop.*",), text="7", since=NOON)
    got = page(stored, nobody, limit=5)

    assert got.tasks == []
    assert got.next is not None


def test_an_address_is_looked_up_by_its_parts_where_no_database_finds_the_rarest(
    stored: Database,
) -> None:
    with stored.reading() as connection:
        address = parts(connection, "jasmine-256585@example.com")
        begins_an_id = parts(connection, "8f14e45f-ceea")
        no_part = parts(connection, "a-b")

    whole = ["jasmine-256585@example.com"]
    assert address == (whole if is_postgres(connection) else ["jasmine", "example", "256585"])
    assert (begins_an_id, no_part) == (["8f14e45f-ceea"], ["a-b"])
