"""How many tasks match: exactly where few do, else about, and then it says so."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from app.domain.filters import TaskFilter
from app.domain.tasks import TaskState, seq_of
from app.store import totals
from app.store.database import Database
from app.store.rollups import Tally, TallyKey, minute_of
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
    assert found.count == matching if found.exact else wanted.words or wanted.ended


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
    assert Total(1_200, False).at_least(50, to_the_end=True) == Total(50, True)


ENDS = (("a", "SUCCESS"), ("a", "SUCCESS"), ("a", "LOST"), ("b", "FAILURE"), (None, "SUCCESS"))


def test_what_ended_in_whole_minutes_is_counted_exactly_however_much_it_is(
    fresh: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "COMPARED", 1)
    db, minute = fresh(), minute_of(time.time()) - 600
    ended = TaskFilter(ended_since=float(minute))
    many, tallies = [], {}
    for number, (name, state) in enumerate(ENDS):
        at = minute + 60 * number + 1.0
        task = sample(number, seq=seq_of(at), name=name, state=TaskState(state), finished_at=at)
        many.append(task)
        tallies[TallyKey(minute_of(at), name, task.state)] = tally = Tally()
        tally.add()
    commit(db, Batch(tasks=[task.copy() for task in many], tallies=tallies))
    for wanted in (
        ended,
        replace(ended, ended_until=minute + 120.0),
        replace(ended, ended_since=minute + 60.0, states=(TaskState.SUCCESS, TaskState.FAILURE)),
        replace(ended, names=("a",)),
        replace(ended, no_names=("*",)),
    ):
        assert total(db, wanted) == Total(sum(map(wanted.matches, many)), True)
    assert total(db, replace(ended, ended_since=minute + 0.5)) == Total(len(many), False)
    assert not total(db, replace(ended, names=("a",), queues=("celery",))).exact
