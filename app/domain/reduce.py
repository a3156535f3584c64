"""How a task changes after an event: the one place where what we believe of a task changes.

Events come late, twice, out of order and from several mouths, so nothing here trusts the
order of arrival. The rules, each held by a case in `tests/domain/test_reduce.py`:

1. Within one attempt a task only moves forward: PENDING, RECEIVED, STARTED, PROGRESS, RETRY,
   ended. A late event fills in what it knows (times, names, worker) and changes no state.
2. A higher retry count begins a new attempt, whatever was believed before it.
3. An ended task wakes up only when a worker takes it again later than it ended: it was
   delivered again. SUCCESS gives way to nothing else; the result backend does the same.
4. REVOKED is no promise: a worker that forgot the revoke runs the task, and then SUCCESS or
   FAILURE is what happened. Only after "terminated" is a success that returned None ignored:
   gevent pools announce one for a task that they have just killed.
5. LOST gives way to anything that is heard, and is believed only of a task that was not heard
   of since it was looked for.
"""

from collections.abc import Callable
from typing import Any
from zlib import crc32

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
from app.domain.moves import (
    FAILURE,
    LOST,
    PENDING,
    PROGRESS,
    RANK,
    RECEIVED,
    REJECTED,
    RETRY,
    REVOKED,
    STARTED,
    SUCCESS,
    advance,
    clear_run,
    describe,
    end,
    fill,
    is_over,
    make_step,
    move,
    next_attempt,
    restamp,
    was_terminated,
    write,
)
from app.domain.ordinary import receive, start, succeed
from app.domain.tasks import Task, seq_of

AGAIN = "delivered again"
"""The note of a step that the broker's second delivery made."""


def begin(event: TaskEvent) -> Task:
    """The task that an event about an unknown id tells of, placed by the event's time."""
    at, heard_at = event.at, event.heard_at
    moment = at if 0.0 <= at <= heard_at else max(0.0, min(at, heard_at))
    seq = seq_of(moment, crc32(event.task_id.encode()))
    if type(event) is TaskSent and event.retries == 0:
        return _first_sent(event, seq)
    task = Task(id=event.task_id, seq=seq)
    reduce(task, event)
    if not task.transitions:
        write(task, task.state, event.at, None)
    return task


def _first_sent(event: TaskSent, seq: int) -> Task:
    """What `_sent` makes of a new task, in one step: most tasks are heard of so."""
    return Task(
        id=event.task_id,
        seq=seq,
        name=event.name,
        args=event.args,
        kwargs=event.kwargs,
        args_repr=event.args_repr,
        kwargs_repr=event.kwargs_repr,
        queue=event.queue,
        priority=event.priority,
        eta=event.eta,
        expires=event.expires,
        sent_at=event.at,
        root_id=event.root_id,
        parent_id=event.parent_id,
        group_id=event.group_id,
        chord_id=event.chord_id,
        retry_of=event.retry_of,
        transitions=[make_step((PENDING, event.at, None, 0, None))],
    )


def reduce(task: Task, event: TaskEvent) -> bool:
    """Let `task` take in `event`; says whether anything that people can see has changed."""
    return _REDUCERS[type(event)](task, event)


def _sent(task: Task, event: TaskSent) -> bool:
    changed = describe(task, event)
    if event.retries > task.retries:
        next_attempt(task, event.retries)
        move(task, PENDING, event.at, None)
        return True
    if event.retries == 0 and task.sent_at is None:
        task.sent_at = event.at
        changed = True
        if not any(step.state is PENDING for step in task.transitions):
            # Whoever sends it says so once it is sent, when a worker may have it already.
            began = task.transitions[0].at if task.transitions else event.at
            write(task, PENDING, min(event.at, began), None)
    return changed


def _received(task: Task, event: TaskReceived) -> bool:
    if receive(task, event):
        return True
    changed = describe(task, event)
    if event.retries < task.retries:
        return changed
    if event.retries > task.retries:
        next_attempt(task, event.retries)
    elif task.received_at is not None or task.state.ended:
        return _received_again(task, event) or changed
    task.received_at = event.at
    advance(task, RECEIVED, event.at, event.worker, AGAIN if event.redelivered else None)
    return True


def _received_again(task: Task, event: TaskReceived) -> bool:
    """A second delivery of the same attempt, or the late or doubled word of the first."""
    if is_over(task):
        if task.finished_at is None or event.at <= task.finished_at:
            return _fill_received(task, event)
        clear_run(task)
    elif task.received_at is not None and event.at <= task.received_at:
        return False
    elif task.state is LOST:
        clear_run(task)
    task.received_at = event.at
    if task.state in (STARTED, PROGRESS):
        write(task, RECEIVED, event.at, event.worker, "delivered again while it ran")
    else:
        move(task, RECEIVED, event.at, event.worker, AGAIN)
    return True


def _fill_received(task: Task, event: TaskReceived) -> bool:
    if task.received_at is not None:
        return False
    task.received_at = event.at
    task.worker = task.worker or event.worker
    write(task, RECEIVED, event.at, event.worker)
    return True


def _started(task: Task, event: TaskStarted) -> bool:
    if start(task, event):
        return True
    if task.state.ended:
        forgotten = task.state is REVOKED and not was_terminated(task)
        after = task.finished_at is not None and event.at > task.finished_at
        if not (task.state is LOST or (forgotten and after)):
            return _fill_started(task, event)
        clear_run(task)
        task.state = RECEIVED
    if task.started_at is not None and task.state in (STARTED, PROGRESS, RETRY):
        return fill(task, "worker", event.worker)
    task.started_at = event.at
    advance(task, STARTED, event.at, event.worker)
    return True


def _fill_started(task: Task, event: TaskStarted) -> bool:
    """The word of the start came after the end: the two travel on different ways."""
    changed = fill(task, "worker", event.worker)
    # A worker stamps the start in its main loop, which can be later than the end.
    at = event.at if task.finished_at is None else min(event.at, task.finished_at)
    changed |= fill(task, "started_at", at)
    story = (step for step in task.transitions if step.attempt == task.retries)
    if not any(step.state is STARTED for step in story):
        write(task, STARTED, at, event.worker)
        changed = True
    return changed


def _progressed(task: Task, event: TaskProgressed) -> bool:
    if is_over(task):
        return False
    if task.state is RETRY:
        return False
    custom = None if event.custom_state in (None, "PROGRESS") else event.custom_state
    return _progress(
        task, event.at, event.worker, event.current, event.total, event.message, custom
    )


def _progress(
    task: Task,
    at: float,
    worker: str | None,
    current: float | None,
    total: float | None,
    message: str | None,
    custom: str | None,
) -> bool:
    task.finished_at = None
    task.redelivery_at = None
    before = (
        task.progress_current,
        task.progress_total,
        task.progress_message,
        task.custom_state,
        task.state,
    )
    if task.state is not PROGRESS or custom != task.custom_state:
        move(task, PROGRESS, at, worker, custom)
    task.custom_state = custom
    task.progress_current = current
    task.progress_total = total
    task.progress_message = message
    return before != (current, total, message, custom, PROGRESS)


def _succeeded(task: Task, event: TaskSucceeded) -> bool:
    if succeed(task, event):
        return True
    if task.state is REVOKED and was_terminated(task) and event.result_repr in (None, "None"):
        return False
    changed = task.state is not SUCCESS
    if changed:
        end(task, SUCCESS, event.at, event.worker)
    changed |= fill(task, "result_repr", event.result_repr)
    changed |= fill(task, "worker", event.worker)
    if event.runtime is not None and task.runtime is None:
        changed = True
        _ran_for(task, event.at, event.runtime)
    return changed


def _ran_for(task: Task, at: float, runtime: float) -> None:
    """The worker measured the run, so both its ends are told by one clock and add up.

    STARTED is stamped late, and the result backend has the result a little before the run ends.
    """
    task.runtime = runtime
    task.finished_at = at
    restamp(task, SUCCESS, at)
    began = at - runtime
    if task.started_at is None or began < task.started_at:
        task.started_at = began if task.received_at is None else max(began, task.received_at)


def _failed(task: Task, event: TaskFailed) -> bool:
    if task.state is SUCCESS or (task.state is REVOKED and was_terminated(task)):
        return False
    changed = task.state is not FAILURE
    if changed:
        end(task, FAILURE, event.at, event.worker, event.exception)
    changed |= fill(task, "exception", event.exception)
    changed |= fill(task, "traceback", event.traceback)
    return fill(task, "worker", event.worker) or changed


def _retried(task: Task, event: TaskRetried) -> bool:
    if _tells_of_the_attempt_before(task, event.at):
        before = task.retries - 1
        if any(step.state is RETRY and step.attempt == before for step in task.transitions):
            return False
        write(task, RETRY, event.at, event.worker, event.exception, attempt=before)
        return True
    if is_over(task):
        return False
    if task.state is RETRY:
        filled = fill(task, "exception", event.exception)
        return fill(task, "traceback", event.traceback) or filled
    move(task, RETRY, event.at, event.worker, event.exception)
    task.exception = event.exception
    task.traceback = event.traceback
    return True


def _tells_of_the_attempt_before(task: Task, at: float) -> bool:
    """`task-retried` names no attempt, and the next one's `task-received` comes before it."""
    if task.retries == 0:
        return False
    starts = [
        step.at
        for step in task.transitions
        if step.attempt == task.retries and step.state in (STARTED, PROGRESS)
    ]
    if not starts and task.started_at is not None:
        starts = [task.started_at]
    return not starts or at < min(starts)


def _rejected(task: Task, event: TaskRejected) -> bool:
    if is_over(task):
        return False
    if event.requeue:
        write(task, REJECTED, event.at, event.worker, "queued again")
        clear_run(task)
        task.received_at = None
        move(task, PENDING, event.at, None)
    else:
        end(task, REJECTED, event.at, event.worker)
    return True


def _revoked(task: Task, event: TaskRevoked) -> bool:
    if event.terminated:
        note = f"terminated with {event.signal}" if event.signal else "terminated"
    else:
        note = "expired" if event.expired else "revoked"
    if task.state is REVOKED:
        if event.terminated and not was_terminated(task):
            write(task, REVOKED, event.at, event.worker, note)
            return True
        return fill(task, "worker", event.worker)
    if is_over(task):
        return False
    end(task, REVOKED, event.at, event.worker, note)
    return True


def _cancelled(task: Task, event: TaskCancelled) -> bool:
    if is_over(task) or task.state is RETRY:
        return False
    move(task, RETRY, event.at, event.worker, "its worker shut down and let go of it")
    return True


def _stored(task: Task, event: ResultStored) -> bool:
    changed = describe(task, event)
    if event.retries is not None and event.retries > task.retries:
        next_attempt(task, event.retries)
        changed = True
    if task.state is LOST and event.found and not event.ends:
        return changed
    match event.status:
        case "SUCCESS":
            changed |= _stored_success(task, event)
        case "FAILURE":
            changed |= _stored_failure(task, event)
        case "REVOKED":
            changed |= _stored_revoked(task, event)
        case "RETRY":
            if event.retries is not None and event.retries < task.retries:
                return changed
            changed |= _retried(
                task,
                TaskRetried(
                    task_id=task.id,
                    at=event.at,
                    heard_at=event.heard_at,
                    worker=event.worker,
                    exception=event.exception,
                    traceback=event.traceback,
                ),
            )
        case "STARTED":
            started = TaskStarted(
                task_id=task.id, at=event.at, heard_at=event.heard_at, worker=event.worker
            )
            # Without a time of its own it must not wake a task up: it may be an old word.
            changed |= False if is_over(task) else _started(task, started)
        case "PENDING" | "RECEIVED" | "REJECTED":
            pass
        case custom:
            if not is_over(task) and task.state is not RETRY:
                changed |= _progress(
                    task,
                    event.at,
                    event.worker,
                    event.current,
                    event.total,
                    event.message,
                    None if custom == "PROGRESS" else custom,
                )
    return changed


def _stored_success(task: Task, event: ResultStored) -> bool:
    changed = task.state is not SUCCESS
    if changed:
        end(task, SUCCESS, event.at, event.worker)
    if event.result is not None and task.result != event.result:
        task.result = event.result
        changed = True
    return fill(task, "result_repr", event.result_repr) or changed


def _stored_failure(task: Task, event: ResultStored) -> bool:
    if task.state is SUCCESS:
        return False
    changed = task.state is not FAILURE
    if changed:
        end(task, FAILURE, event.at, event.worker, event.exception)
    # The backend knows the type of the error even where the event has only a useless repr.
    if event.exception is not None and task.exception != event.exception:
        task.exception = event.exception
        changed = True
    return fill(task, "traceback", event.traceback) or changed


def _stored_revoked(task: Task, event: ResultStored) -> bool:
    if is_over(task):
        return False
    end(task, REVOKED, event.at, event.worker, event.exception or "revoked")
    return True


def _found(task: Task, event: TaskFound) -> bool:
    changed = describe(task, event)
    if event.retries > task.retries:
        next_attempt(task, event.retries)
        changed = True
    if event.retries < task.retries:
        return changed
    if event.redelivery_at is not None:
        return _orphaned(task, event.redelivery_at) or changed
    if task.redelivery_at is not None and (event.worker is not None or task.state is LOST):
        task.redelivery_at = None
        changed = True
    if task.state is LOST:
        _found_again(task, event)
        return True
    if event.worker is None or task.state.ended:
        return changed
    if RANK[task.state] < RANK[RECEIVED]:
        move(task, RECEIVED, event.at, event.worker)
        changed = True
    if event.running and RANK[task.state] < RANK[STARTED]:
        task.started_at = event.started_at if event.started_at is not None else event.at
        move(task, STARTED, task.started_at, event.worker)
        changed = True
    return fill(task, "worker", event.worker) or changed


def _found_again(task: Task, event: TaskFound) -> None:
    if event.worker is None:
        clear_run(task)
        task.received_at = None
        move(task, PENDING, event.at, None, "found again")
    elif event.running:
        task.started_at = event.started_at or task.started_at or event.at
        move(task, STARTED, event.at, event.worker, "found again")
    else:
        clear_run(task)
        move(task, RECEIVED, event.at, event.worker, "found again")


def _orphaned(task: Task, redelivery_at: float) -> bool:
    """Its message waits with the broker for a worker that is gone."""
    if is_over(task) or task.redelivery_at == redelivery_at:
        return False
    task.redelivery_at = redelivery_at
    return True


def _lost(task: Task, event: TaskLost) -> bool:
    if task.state.ended or task.mark != event.mark:
        return False
    end(task, LOST, event.at, event.worker, event.reason)
    task.redelivery_at = event.redelivery_at
    return True


_REDUCERS: dict[type, Callable[[Task, Any], bool]] = {
    TaskSent: _sent,
    TaskReceived: _received,
    TaskStarted: _started,
    TaskProgressed: _progressed,
    TaskSucceeded: _succeeded,
    TaskFailed: _failed,
    TaskRetried: _retried,
    TaskRejected: _rejected,
    TaskRevoked: _revoked,
    TaskCancelled: _cancelled,
    ResultStored: _stored,
    TaskFound: _found,
    TaskLost: _lost,
}
