"""How a task moves: forward, to its end, into a next attempt, and what its story says of it."""

from functools import partial

from app.domain.events import ResultStored, TaskFound, TaskReceived, TaskSent
from app.domain.tasks import Task, TaskState, Transition

MAX_TRANSITIONS = 100
"""Steps kept of one task's story; a task that retries for ever must not grow its row."""
KEPT_FROM_THE_START = 10
"""Of those, the first so many stay: how it began explains more than its middle."""
NOTE_LIMIT = 200
"""Characters of an error that a step of the story repeats; the whole of it is the task's own."""

PENDING, RECEIVED, STARTED = TaskState.PENDING, TaskState.RECEIVED, TaskState.STARTED
PROGRESS, RETRY, SUCCESS = TaskState.PROGRESS, TaskState.RETRY, TaskState.SUCCESS
FAILURE, REVOKED, REJECTED = TaskState.FAILURE, TaskState.REVOKED, TaskState.REJECTED
LOST = TaskState.LOST

make_step = partial(tuple.__new__, Transition)
"""Makes a `Transition` of its five cells in half the time that its own constructor takes."""
RANK = {PENDING: 0, RECEIVED: 1, STARTED: 2, PROGRESS: 3, RETRY: 4}
_ENDED_RANK = 5
_ORDER = {state: RANK.get(state, _ENDED_RANK) for state in TaskState}
"""Of steps at one moment the lower one comes first."""
_REACHED = _ORDER | {LOST: -1}
"""How far a task is; one that is lost is nowhere, and any word of it is further."""


_DESCRIBED = {
    kind: tuple(
        name
        for name in (
            "name",
            "args",
            "kwargs",
            "args_repr",
            "kwargs_repr",
            "queue",
            "priority",
            "eta",
            "expires",
            "root_id",
            "parent_id",
            "group_id",
            "chord_id",
            "retry_of",
        )
        if name in kind.__dataclass_fields__
    )
    for kind in (TaskSent, TaskReceived, ResultStored, TaskFound)
}


def describe(task: Task, event: TaskSent | TaskReceived | ResultStored | TaskFound) -> bool:
    """Take in who the task is. What is known stays; what an event adds is filled in."""
    changed = False
    for name in _DESCRIBED[type(event)]:
        value = getattr(event, name)
        if value is not None and getattr(task, name) is None:
            setattr(task, name, value)
            changed = True
    return changed


def fill(task: Task, name: str, value: object) -> bool:
    """Take in one thing that is not known yet."""
    if value is None or getattr(task, name) is not None:
        return False
    setattr(task, name, value)
    return True


def next_attempt(task: Task, retries: int) -> None:
    """Begin again with what belongs to the attempt before put away; its story stays."""
    task.retries = retries
    task.received_at = None
    clear_run(task)
    task.state = PENDING


def clear_run(task: Task) -> None:
    """Forget what belongs to one run, so that another can begin."""
    task.started_at = None
    task.finished_at = None
    task.runtime = None
    task.result = None
    task.result_repr = None
    task.exception = None
    task.traceback = None
    task.custom_state = None
    task.progress_current = None
    task.progress_total = None
    task.progress_message = None


def advance(
    task: Task, state: TaskState, at: float, worker: str | None, note: str | None = None
) -> None:
    """Move forward to `state`, or only write the step down where the task is further already."""
    if RANK[state] > _REACHED[task.state] or task.state is state:
        move(task, state, at, worker, note)
    else:
        write(task, state, at, worker, note)
        task.worker = task.worker or worker


def move(
    task: Task, state: TaskState, at: float, worker: str | None, note: str | None = None
) -> None:
    """Go to `state` and write the step down."""
    task.state = state
    task.redelivery_at = None
    if not state.ended:
        task.finished_at = None
    if state is not PROGRESS:
        task.custom_state = None
    if worker is not None:
        task.worker = worker
    write(task, state, at, worker, note)


def end(
    task: Task, state: TaskState, at: float, worker: str | None, note: str | None = None
) -> None:
    """End in `state`; what an end believed before said of its outcome is forgotten."""
    if task.state.ended:
        started_at, received_at = task.started_at, task.received_at
        clear_run(task)
        task.started_at, task.received_at = started_at, received_at
    if task.state is RETRY:
        task.exception = None
        task.traceback = None
    if task.started_at is not None and task.started_at > at:
        # A worker stamps the start in its main loop, which can be later than the end.
        restamp(task, STARTED, at)
        task.started_at = at
    task.finished_at = at
    move(task, state, at, worker, note)


def write(
    task: Task,
    state: TaskState,
    at: float,
    worker: str | None,
    note: str | None = None,
    attempt: int | None = None,
) -> None:
    """Write one step into the story, at its place in time within its attempt.

    Of steps at one moment the one that leads to the other comes first.
    """
    text = note[:NOTE_LIMIT] if note else None
    if attempt is None:
        attempt = task.retries
    step = make_step((state, at, worker, attempt, text))
    steps = task.transitions
    if not steps or _follows(steps[-1], state, at, attempt):
        steps.append(step)
    else:
        _insert(steps, step)
    if len(steps) > MAX_TRANSITIONS:
        del steps[KEPT_FROM_THE_START]


def _follows(before: Transition, state: TaskState, at: float, attempt: int) -> bool:
    _, was_at, _, was_attempt, _ = before
    if was_attempt != attempt:
        return was_attempt < attempt
    if was_at == at:
        return _ORDER[before.state] <= _ORDER[state]
    # Where a time is none that can be compared, it stays in the order of arrival.
    return not was_at > at


def _insert(steps: list[Transition], step: Transition) -> None:
    state, at, _, attempt, _ = step
    place = len(steps)
    while place and not _follows(steps[place - 1], state, at, attempt):
        place -= 1
    if place == 0 and steps[0].state is PENDING and state is not PENDING:
        # Whoever sends it says so once it is sent, when a worker may have it already.
        steps[0] = steps[0]._replace(at=at)
        place = 1
    steps.insert(place, step)


def restamp(task: Task, state: TaskState, at: float) -> None:
    """Correct when the last step into `state` was; its place in the story follows."""
    for place in range(len(task.transitions) - 1, -1, -1):
        step = task.transitions[place]
        if step.state is state:
            if step.at == at:
                return
            del task.transitions[place]
            write(task, state, at, step.worker, step.note, step.attempt)
            return


def is_over(task: Task) -> bool:
    """Ended by somebody's word; LOST is only the lack of one."""
    return task.state.ended and task.state is not LOST


def was_terminated(task: Task) -> bool:
    """Revoked while it ran, as against unrun."""
    for step in reversed(task.transitions):
        if step.state is REVOKED:
            return bool(step.note and step.note.startswith("terminated"))
    return False
