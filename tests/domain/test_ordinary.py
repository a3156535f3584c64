"""The ordinary way of a task is a shorter one to the same outcome as all rules have."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import reduce as rules
from app.domain.events import (
    TaskEvent,
    TaskProgressed,
    TaskReceived,
    TaskRetried,
    TaskRevoked,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
)

TIMES = st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0, float("nan")])
WORKERS = st.sampled_from([None, "w1@test", "w2@test"])
RETRIES = st.integers(0, 2)
TEXTS = st.sampled_from([None, "(1, 2)", "{}"])


def told(kind: Callable[..., TaskEvent], **fields: st.SearchStrategy[Any]) -> Any:
    return st.builds(kind, task_id=st.just("t"), at=TIMES, heard_at=st.just(6.0), **fields)


SENT = told(TaskSent, name=TEXTS, args_repr=TEXTS, queue=TEXTS, retries=RETRIES)
RECEIVED = told(
    TaskReceived,
    worker=WORKERS,
    name=TEXTS,
    args_repr=TEXTS,
    kwargs_repr=TEXTS,
    retries=RETRIES,
    eta=st.sampled_from([None, 3.0]),
    expires=st.sampled_from([None, 9.0]),
    root_id=TEXTS,
    parent_id=TEXTS,
    queue=TEXTS,
    priority=st.sampled_from([None, 3]),
    group_id=TEXTS,
    chord_id=TEXTS,
    redelivered=st.sampled_from([None, False, True]),
)
STARTED = told(TaskStarted, worker=WORKERS)
SUCCEEDED = told(
    TaskSucceeded,
    worker=WORKERS,
    result_repr=TEXTS,
    runtime=st.sampled_from([None, 0.5, 3.0]),
)
OTHERS = st.one_of(
    told(TaskProgressed, worker=WORKERS, current=st.just(1.0)),
    told(TaskRetried, worker=WORKERS, exception=TEXTS),
    told(TaskRevoked, worker=WORKERS, terminated=st.booleans()),
)
IN_ORDER = st.tuples(SENT, RECEIVED, STARTED, SUCCEEDED).map(
    lambda events: [_at(event, at) for event, at in zip(events, (1.0, 2.0, 3.0, 4.0), strict=True)]
)
ANY = st.lists(st.one_of(SENT, RECEIVED, STARTED, SUCCEEDED, OTHERS), min_size=1, max_size=8)


def _at(event: Any, at: float) -> TaskEvent:
    event.at = at
    return event  # type: ignore[no-any-return]


def believed(events: list[TaskEvent]) -> tuple[str, list[bool]]:
    """The task as text, in which what is no number equals itself."""
    task = rules.begin(events[0])
    changed = [rules.reduce(task, event) for event in events[1:]]
    return repr(asdict(task)), changed


@given(st.one_of(IN_ORDER, ANY))
def test_what_is_believed_is_what_all_rules_make_of_it(events: list[TaskEvent]) -> None:
    found = believed(events)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("receive", "start", "succeed"):
            patch.setattr(rules, name, lambda _task, _event: False)
        assert believed(events) == found


def test_a_task_that_succeeds_goes_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def watch(step: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        def watched(task: Any, event: Any) -> bool:
            taken.append(step(task, event))
            return taken[-1]

        return watched

    for name in ("receive", "start", "succeed"):
        monkeypatch.setattr(rules, name, watch(getattr(rules, name)))
    believed(
        [
            TaskSent("t", 1.0, 6.0),
            TaskReceived("t", 2.0, 6.0, worker="w1@test"),
            TaskStarted("t", 3.0, 6.0, worker="w1@test"),
            TaskSucceeded("t", 4.0, 6.0, worker="w1@test", runtime=1.0),
        ]
    )
    assert taken == [True, True, True]
