"""The ordinary way of a task: received, started, succeeded, each once and in order of time.

Nearly every event is a step of it. What the rules of `app.domain.reduce` make of such a step is
written here as one piece, which takes a fraction of the time that asking all of them does; a test
holds the two to the same outcome. Whatever is out of the ordinary is left to the rules.
"""

from app.domain.events import TaskReceived, TaskStarted, TaskSucceeded
from app.domain.moves import MAX_TRANSITIONS, PENDING, RECEIVED, STARTED, SUCCESS, make_step
from app.domain.tasks import Task


def receive(task: Task, event: TaskReceived) -> bool:
    """A worker takes a waiting task for the first time in its attempt. False: it is not so, and
    nothing has changed."""
    attempt, at = task.retries, event.at
    if (
        task.state is not PENDING
        or task.received_at is not None
        or event.retries != attempt
        or event.redelivered
        or not _comes_next(task, at)
    ):
        return False
    worker = event.worker
    _describe(task, event)
    task.state = RECEIVED
    task.received_at = at
    task.finished_at = task.redelivery_at = task.custom_state = None
    if worker is not None:
        task.worker = worker
    task.transitions.append(make_step((RECEIVED, at, worker, attempt, None)))
    return True


def start(task: Task, event: TaskStarted) -> bool:
    """A waiting or received task begins to run. False: it is not so, and nothing has changed."""
    state, at = task.state, event.at
    if (state is not RECEIVED and state is not PENDING) or not _comes_next(task, at):
        return False
    worker = event.worker
    task.state = STARTED
    task.started_at = at
    task.finished_at = task.redelivery_at = task.custom_state = None
    if worker is not None:
        task.worker = worker
    task.transitions.append(make_step((STARTED, at, worker, task.retries, None)))
    return True


def succeed(task: Task, event: TaskSucceeded) -> bool:
    """A running task ends. False: it is not so, and nothing has changed."""
    at = event.at
    if task.state is not STARTED or not _comes_next(task, at):
        return False
    started_at = task.started_at
    if started_at is None or not started_at <= at:
        return False
    worker, runtime = event.worker, event.runtime
    task.state = SUCCESS
    task.finished_at = at
    task.redelivery_at = task.custom_state = None
    if worker is not None:
        task.worker = worker
    if task.result_repr is None:
        task.result_repr = event.result_repr
    if runtime is not None and task.runtime is None:
        task.runtime = runtime
        if (began := at - runtime) < started_at:
            received_at = task.received_at
            task.started_at = began if received_at is None else max(began, received_at)
    task.transitions.append(make_step((SUCCESS, at, worker, task.retries, None)))
    return True


def _comes_next(task: Task, at: float) -> bool:
    """The moment is later than all that its story tells of this attempt, which has begun."""
    steps = task.transitions
    if not steps or len(steps) >= MAX_TRANSITIONS:
        return False
    _, was_at, _, attempt, _ = steps[-1]
    return was_at < at and attempt == task.retries


def _describe(task: Task, event: TaskReceived) -> None:
    """`app.domain.moves.describe` for this one kind of event."""
    if task.name is None:
        task.name = event.name
    if task.args_repr is None:
        task.args_repr = event.args_repr
    if task.kwargs_repr is None:
        task.kwargs_repr = event.kwargs_repr
    if task.eta is None:
        task.eta = event.eta
    if task.expires is None:
        task.expires = event.expires
    if task.root_id is None:
        task.root_id = event.root_id
    if task.parent_id is None:
        task.parent_id = event.parent_id
    if task.queue is None:
        task.queue = event.queue
    if task.priority is None:
        task.priority = event.priority
    if task.group_id is None:
        task.group_id = event.group_id
    if task.chord_id is None:
        task.chord_id = event.chord_id
