"""How many tasks match: exactly where few do, else about, and then it says so."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from app.domain.filters import TaskFilter
from app.domain.tasks import TaskState
from app.store import totals
from app.store.database import Database
from app.store.totals import Total, total
from app.store.writer import Batch, commit
from tests.store.samples import NAMES, NOON, sample
from tests.store.test_pages import STORED, filters


@pytest.fixture(scope="module")
def full(fresh: Callable[[], Database]) -> Database:
    db = fresh()
    commit(db, Batch(tasks=[task.copy() for task in STORED]))
    return db


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters)
def test_few_tasks_are_counted_as_the_filter_matches_them(
    full: Database, wanted: TaskFilter
) -> None:
    matching = sum(map(wanted.matches, STORED))
    found = total(full, wanted)
    # Words that the index can't look up are compared with the newest tasks only.
    assert found.count == matching if found.exact else wanted.words


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(names=(NAMES[0] or "",)),
        TaskFilter(names=("shop.*",), queues=("celery",)),
        TaskFilter(since=NOON + 0.1, until=NOON + 0.5),
        TaskFilter(states=(TaskState.FAILURE, TaskState.SUCCESS), since=NOON),
        TaskFilter(text="4711"),
        TaskFilter(text="4711", queues=("celery", "mail")),
    ],
    ids=str,
)
def test_many_tasks_are_estimated_and_marked_so(
    full: Database, wanted: TaskFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "COUNTED", 40)
    monkeypatch.setattr(totals, "COMPARED", 40)
    monkeypatch.setattr(totals, "SPARSEST", 2)
    matching = sum(map(wanted.matches, STORED))
    found = total(full, wanted)
    assert not found.exact
    assert matching / 2 <= found.count <= matching * 2


def test_all_tasks_and_those_of_states_are_known_exactly(
    full: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "COUNTED", 1)
    failed = TaskFilter(states=(TaskState.FAILURE,))
    assert total(full, TaskFilter()) == Total(600, True)
    assert total(full, failed) == Total(sum(map(failed.matches, STORED)), True)


def test_nothing_matches_in_an_empty_store(db: Database) -> None:
    for wanted in (TaskFilter(), TaskFilter(names=("a",)), TaskFilter(since=NOON)):
        assert total(db, wanted) == Total(0, True)
    commit(db, Batch(tasks=[sample(1)]))
    assert total(db, TaskFilter(until=NOON)) == Total(0, True)


def test_an_estimate_is_never_less_than_what_was_seen() -> None:
    assert Total(0, False).at_least(50) == Total(50, False)
    assert Total(1_200, False).at_least(50) == Total(1_200, False)
    assert Total(49, True).at_least(50) == Total(49, True)
