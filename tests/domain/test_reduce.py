"""The table of cases: what is believed of a task after events in every order that was seen."""

from dataclasses import dataclass, fields
from itertools import permutations

import pytest

from app.domain.events import (
    ResultStored,
    TaskCancelled,
    TaskEvent,
    TaskFailed,
    TaskFound,
    TaskLost,
    TaskProgressed,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
)
from app.domain.moves import MAX_TRANSITIONS
from app.domain.reduce import begin, reduce
from app.domain.tasks import SEQ_SHIFT, Task, TaskState, seq_of, seq_time

W1, W2 = "celery@w1", "celery@w2"


def sent(at: float, retries: int = 0, **more: object) -> TaskSent:
    return TaskSent(
        task_id="t",
        at=at,
        heard_at=at,
        retries=retries,
        name="app.add",
        queue="celery",
        args_repr="(1, 2)",
        **more,  # type: ignore[arg-type]
    )


def received(at: float, retries: int = 0, worker: str = W1) -> TaskReceived:
    return TaskReceived(
        task_id="t", at=at, heard_at=at, retries=retries, worker=worker, name="app.add"
    )


def started(at: float, worker: str = W1) -> TaskStarted:
    return TaskStarted(task_id="t", at=at, heard_at=at, worker=worker)


def succeeded(at: float, result: str = "3", worker: str = W1, runtime: float = 1) -> TaskSucceeded:
    return TaskSucceeded(
        task_id="t", at=at, heard_at=at, worker=worker, result_repr=result, runtime=runtime
    )


def failed(at: float, exception: str = "ValueError('no')") -> TaskFailed:
    return TaskFailed(
        task_id="t", at=at, heard_at=at, worker=W1, exception=exception, traceback="Traceback…"
    )


def retried(at: float) -> TaskRetried:
    return TaskRetried(
        task_id="t", at=at, heard_at=at, worker=W1, exception="Boom()", traceback="Traceback…"
    )


def revoked(at: float, terminated: bool = False, expired: bool = False) -> TaskRevoked:
    signal = "SIGTERM" if terminated else None
    return TaskRevoked(
        task_id="t",
        at=at,
        heard_at=at,
        worker=W1,
        terminated=terminated,
        expired=expired,
        signal=signal,
    )


def stored(at: float, status: str, **more: object) -> ResultStored:
    return ResultStored(task_id="t", at=at, heard_at=at, status=status, **more)  # type: ignore[arg-type]


def found(at: float, **more: object) -> TaskFound:
    return TaskFound(task_id="t", at=at, heard_at=at, **more)  # type: ignore[arg-type]


def progressed(at: float, current: float, custom: str | None = None) -> TaskProgressed:
    return TaskProgressed(
        task_id="t", at=at, heard_at=at, worker=W1, current=current, total=10, custom_state=custom
    )


def after(*events: TaskEvent) -> Task:
    task = begin(events[0])
    for event in events[1:]:
        reduce(task, event)
    return task


@dataclass(frozen=True)
class Case:
    name: str
    events: tuple[TaskEvent, ...]
    state: TaskState
    retries: int = 0
    story: tuple[str, ...] | None = None


S = TaskState
CASES = [
    Case("sent", (sent(1),), S.PENDING, story=("PENDING",)),
    Case("received first", (received(2), sent(1)), S.RECEIVED, story=("PENDING", "RECEIVED")),
    Case(
        "the usual way",
        (sent(1), received(2), started(3), succeeded(4)),
        S.SUCCESS,
        story=("PENDING", "RECEIVED", "STARTED", "SUCCESS"),
    ),
    Case(
        "the result before the start",
        (sent(1), received(2), stored(3.5, "SUCCESS", result="3"), started(3), succeeded(4)),
        S.SUCCESS,
        story=("PENDING", "RECEIVED", "STARTED", "SUCCESS"),
    ),
    Case(
        "a start stamped later than the end",
        (received(2), stored(3.5, "SUCCESS"), started(3.6), succeeded(3.7)),
        S.SUCCESS,
        story=("RECEIVED", "STARTED", "SUCCESS"),
    ),
    Case("doubled events", (sent(1), sent(1), received(2), received(2)), S.RECEIVED),
    Case("an end alone", (failed(4),), S.FAILURE, story=("FAILURE",)),
    Case(
        "retried, the next attempt received first",
        (received(2), started(3), received(4.1, 1), retried(4), started(5), succeeded(6)),
        S.SUCCESS,
        1,
        ("RECEIVED", "STARTED", "RETRY", "RECEIVED", "STARTED", "SUCCESS"),
    ),
    Case("retried", (received(2), started(3), retried(4)), S.RETRY),
    Case("retried twice heard", (received(2), started(3), retried(4), retried(4)), S.RETRY),
    Case(
        "the backend's word of a retry that is over",
        (received(2), started(3), received(4.1, 1), stored(4, "RETRY", retries=0)),
        S.RECEIVED,
        1,
    ),
    Case(
        "out of retries",
        (received(2), started(3), retried(4), received(5, 1), started(6), failed(7)),
        S.FAILURE,
        1,
    ),
    Case("a retry sent", (received(2), started(3), retried(4), sent(4.1, 1)), S.PENDING, 1),
    Case("a late start", (received(2), started(3), retried(4), started(3)), S.RETRY),
    Case("progress", (received(2), started(3), progressed(4, 1)), S.PROGRESS),
    Case("late progress", (started(3), succeeded(5), progressed(4, 1)), S.SUCCESS),
    Case("the application's own state", (started(3), progressed(4, 1, "MIXING")), S.PROGRESS),
    Case(
        "its own state in the backend", (started(3), stored(4, "MIXING", current=1.0)), S.PROGRESS
    ),
    Case("revoked unrun", (sent(1), revoked(2)), S.REVOKED),
    Case("expired", (sent(1), revoked(2, expired=True)), S.REVOKED),
    Case("terminated", (received(2), started(3), revoked(4, terminated=True)), S.REVOKED),
    Case(
        "terminated, and gevent's success of nothing",
        (received(2), started(3), revoked(4, terminated=True), succeeded(4.1, "None")),
        S.REVOKED,
    ),
    Case(
        "revoked in the backend, forgotten by the worker, run",
        (sent(1), stored(2, "REVOKED"), received(3), started(4), succeeded(5)),
        S.SUCCESS,
        story=("PENDING", "REVOKED", "RECEIVED", "STARTED", "SUCCESS"),
    ),
    Case(
        "prefetched, revoked, forgotten, run",
        (received(1), stored(2, "REVOKED"), started(4)),
        S.STARTED,
    ),
    Case(
        "revoked, then a late word of before",
        (sent(1), stored(3, "REVOKED"), received(2)),
        S.REVOKED,
    ),
    Case("revoked and succeeded at once", (started(3), succeeded(4), revoked(5)), S.SUCCESS),
    Case("revoked, then succeeded", (sent(1), revoked(2), succeeded(4)), S.SUCCESS),
    Case(
        "rejected and dropped",
        (started(3), TaskRejected(task_id="t", at=4, heard_at=4)),
        S.REJECTED,
    ),
    Case(
        "rejected and queued again",
        (received(2), started(3), TaskRejected(task_id="t", at=4, heard_at=4, requeue=True)),
        S.PENDING,
    ),
    Case(
        "rejected, queued again and run",
        (
            received(2),
            started(3),
            TaskRejected(task_id="t", at=4, heard_at=4, requeue=True),
            received(5, worker=W2),
            started(6, W2),
            succeeded(7, worker=W2),
        ),
        S.SUCCESS,
    ),
    Case(
        "delivered again after it ended",
        (received(2), started(3), succeeded(4), received(9, worker=W2)),
        S.RECEIVED,
        story=("RECEIVED", "STARTED", "SUCCESS", "RECEIVED"),
    ),
    Case(
        "delivered again while it ran", (received(2), started(3), received(9, worker=W2)), S.STARTED
    ),
    Case("success stays", (started(3), succeeded(4), failed(5)), S.SUCCESS),
    Case("failure gives way to success", (started(3), failed(4), succeeded(5)), S.SUCCESS),
    Case("let go of", (started(3), TaskCancelled(task_id="t", at=4, heard_at=4)), S.RETRY),
    Case(
        "replaced: same id, a higher nesting",
        (sent(1), received(2), started(3), sent(4)),
        S.STARTED,
    ),
    Case("found waiting", (TaskFound(task_id="t", at=1, heard_at=1, queue="q"),), S.PENDING),
    Case(
        "found running",
        (TaskFound(task_id="t", at=5, heard_at=5, worker=W1, running=True, started_at=3),),
        S.STARTED,
    ),
    Case(
        "found held after it ended",
        (succeeded(4), TaskFound(task_id="t", at=3, heard_at=5, worker=W1)),
        S.SUCCESS,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_believed_after(case: Case) -> None:
    task = after(*case.events)

    assert (task.state, task.retries) == (case.state, case.retries)
    if case.story is not None:
        assert tuple(step.state for step in task.transitions) == case.story


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hearing_everything_twice_changes_no_end(case: Case) -> None:
    task = after(*(event for event in case.events for _ in range(2)))

    assert task.state == case.state


def test_one_delivery_gives_the_same_end_in_every_order_of_arrival() -> None:
    events: tuple[TaskEvent, ...] = (
        sent(1),
        received(2),
        started(3),
        stored(4, "SUCCESS", result="3"),
        succeeded(4),
    )
    for order in permutations(events):
        task = after(*order)

        assert task.state is TaskState.SUCCESS
        assert (task.sent_at, task.received_at, task.started_at) == (1, 2, 3)
        assert (task.result, task.result_repr, task.runtime, task.queue) == ("3", "3", 1, "celery")


def test_a_task_is_sent_before_it_is_received_whatever_the_clocks_say() -> None:
    for order in permutations((sent(2.5), received(2), started(3))):
        task = after(*order)

        assert [step.state for step in task.transitions] == ["PENDING", "RECEIVED", "STARTED"]
        assert task.sent_at == 2.5


@pytest.mark.parametrize("began", [3, 4, 4.5, 5], ids=["before", "at", "after", "at the goodbye"])
def test_a_start_stamped_after_the_result_stands_before_the_end(began: float) -> None:
    """The worker's main loop stamps the start, the pool process the result."""
    events: tuple[TaskEvent, ...] = (
        sent(1),
        received(2),
        started(began),
        stored(4, "SUCCESS", result="3"),
        succeeded(5, runtime=0.5),
    )
    for order in permutations(events):
        steps = [step.state for step in after(*order).transitions]

        assert steps == ["PENDING", "RECEIVED", "STARTED", "SUCCESS"], order


def test_the_runtime_tells_better_when_it_began_than_the_start_event() -> None:
    task = after(received(1), started(3), succeeded(5, runtime=3.5))

    assert task.started_at == 1.5


def test_times_of_a_measured_run_add_up_whatever_the_backend_said_first() -> None:
    task = after(sent(1), received(2), stored(4.5, "SUCCESS"), succeeded(5, runtime=2.5))

    assert (task.started_at, task.finished_at, task.runtime) == (2.5, 5, 2.5)
    assert [step.at for step in task.transitions] == [1, 2, 5]


def test_a_true_result_stands_beside_the_shortened_one() -> None:
    task = after(
        started(3), succeeded(4, result="{'a': 1}"), stored(4, "SUCCESS", result='{"a":1}')
    )

    assert (task.result, task.result_repr) == ('{"a":1}', "{'a': 1}")


def test_the_backend_names_the_error_that_the_event_could_not() -> None:
    task = after(failed(4, "ExceptionWithTraceback()"), stored(4, "FAILURE", exception="Lost()"))

    assert task.exception == "Lost()"


def test_a_new_attempt_starts_clean_and_keeps_the_story() -> None:
    task = after(received(2), started(3), progressed(3.5, 4), retried(4), received(5, 1))

    assert (task.exception, task.started_at, task.progress_current) == (None, None, None)
    assert [step.attempt for step in task.transitions] == [0, 0, 0, 0, 1]
    assert task.transitions[3].note == "Boom()"


def test_a_task_that_begins_with_its_sending_is_what_its_sending_makes_of_any_task() -> None:
    said = {
        field.name: 1_000.0 + place if "float" in str(field.type) else f"{field.name}-{place}"
        for place, field in enumerate(fields(TaskSent))
    }
    event = TaskSent(**(said | {"retries": 0, "priority": 3}))  # type: ignore[arg-type]
    begun = begin(event)
    task = Task(id=begun.id, seq=begun.seq)
    reduce(task, event)
    assert begun == task
    assert begun.chord_id == said["chord_id"]


def test_waiting_is_counted_from_the_eta_where_there_is_one() -> None:
    task = after(sent(10, eta=100.0), received(11), started(103))

    assert task.wait == 3


def test_a_second_success_tells_of_the_second_delivery() -> None:
    task = after(
        received(2), started(3), succeeded(4), received(9, worker=W2), started(10, W2),
        succeeded(12, "4", W2, 2),
    )  # fmt: skip

    assert (task.result_repr, task.worker, task.finished_at, task.runtime) == ("4", W2, 12, 2)


def lost(task: Task, at: float = 50, redelivery_at: float | None = None) -> TaskLost:
    return TaskLost(
        task_id="t",
        at=at,
        heard_at=at,
        reason="its worker died",
        mark=task.mark,
        redelivery_at=redelivery_at,
    )


def test_a_lost_task_ends_with_the_reason() -> None:
    task = after(received(2), started(3))

    assert reduce(task, lost(task, redelivery_at=99))
    assert (task.state, task.finished_at, task.redelivery_at) == (TaskState.LOST, 50, 99)
    assert task.transitions[-1].note == "its worker died"
    assert not task.whole


def test_a_task_that_has_moved_since_it_was_looked_for_is_not_lost() -> None:
    for event in (received(4, 1), started(3), succeeded(5), revoked(5)):
        task = after(received(2))
        evidence = lost(task)
        reduce(task, event)

        assert not reduce(task, evidence)
        assert task.state is not TaskState.LOST


def test_lost_gives_way_to_anything_heard() -> None:
    for event in (
        started(60), progressed(60, 1), succeeded(60), failed(60), received(60), retried(60),
        revoked(60), stored(60, "SUCCESS"), found(60), found(60, worker=W1, running=True),
    ):  # fmt: skip
        task = after(received(2), started(3))
        reduce(task, lost(task, redelivery_at=99))
        reduce(task, event)

        assert task.state is not TaskState.LOST, event
        assert task.redelivery_at is None
        assert task.state.ended or task.finished_at is None


def test_an_old_word_of_the_backend_does_not_bring_a_lost_task_back() -> None:
    task = after(received(2), started(3))
    reduce(task, lost(task))

    assert not reduce(task, stored(60, "STARTED", found=True, worker=W1))
    assert task.state is TaskState.LOST


def test_a_message_that_nobody_holds_says_when_it_comes_back() -> None:
    task = after(sent(1), received(2))

    assert reduce(task, found(10, redelivery_at=3_602))
    assert (task.state, task.redelivery_at) == (TaskState.RECEIVED, 3_602)
    assert not reduce(task, found(11, redelivery_at=3_602))

    reduce(task, received(3_610, worker=W2))
    assert (task.state, task.worker, task.redelivery_at) == (TaskState.RECEIVED, W2, None)
    assert task.transitions[-1].note == "delivered again"


def test_a_message_in_nobody_s_hands_leaves_a_lost_task_lost() -> None:
    task = after(received(2), started(3))
    reduce(task, lost(task))
    reduce(task, found(60, redelivery_at=99))

    assert (task.state, task.redelivery_at) == (TaskState.LOST, 99)


def test_a_story_is_whole_when_beginning_and_end_were_heard() -> None:
    assert after(sent(1), received(2), started(3), succeeded(4)).whole
    assert after(received(2), revoked(3)).whole
    assert not after(sent(1), stored(4, "SUCCESS")).whole
    assert not after(received(2), started(3)).whole


def test_a_task_that_retries_for_ever_keeps_a_bounded_story() -> None:
    task = after(sent(0))
    for attempt in range(MAX_TRANSITIONS):
        reduce(task, received(attempt * 3 + 1, attempt))
        reduce(task, started(attempt * 3 + 2))
        reduce(task, retried(attempt * 3 + 3))

    assert len(task.transitions) == MAX_TRANSITIONS
    assert task.transitions[0].state is TaskState.PENDING
    assert task.retries == MAX_TRANSITIONS - 1


def test_unchanged_is_said_of_an_event_that_adds_nothing() -> None:
    task = after(sent(1), received(2), started(3), succeeded(4))

    assert not any(
        reduce(task, event) for event in (sent(1), received(2), started(3), succeeded(4))
    )


def test_the_place_in_the_list_is_the_first_moment_known() -> None:
    task = begin(sent(1_795_365_736.25))

    assert task.seq >> SEQ_SHIFT == 1_795_365_736_250_000
    assert task.seen_at == 1_795_365_736.25
    assert seq_time(seq_of(5.5, 1023)) == 5.5
