"""What Umbel hears, each as one immutable value.

Every source ends here: Celery's events, results published by the result backend, and what
the first look at a broker finds. `app.broker` makes them, `app.domain.reduce` believes them.

Times are seconds since the epoch, UTC. `at` is when the thing happened by the clock of
whoever says so; `heard_at` is when we heard it, by ours. A JSON value is kept as the text
that it came as, so that big integers and the order of keys stay exactly as they were.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as event
else:
    T = TypeVar("T")

    def event(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """A dataclass that mypy alone keeps from being changed.

        Were it frozen at run time too, building one would take several times as long, and
        one is built for each event that is heard.
        """
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)


Json = str
"""A JSON document as text."""
Mark = tuple[int, str, float]
"""How far a task has come: it changes whenever the task moves."""


@event(frozen=True, slots=True)
class TaskSent:
    """A producer put a message on a queue (`task-sent`; the only event that names the queue)."""

    task_id: str
    at: float
    heard_at: float
    name: str | None = None
    args_repr: str | None = None
    kwargs_repr: str | None = None
    args: Json | None = None
    kwargs: Json | None = None
    queue: str | None = None
    retries: int = 0
    priority: int | None = None
    eta: float | None = None
    expires: float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    chord_id: str | None = None
    retry_of: str | None = None


@event(frozen=True, slots=True)
class TaskReceived:
    """A worker took the message off its queue (`task-received`). An ETA task is received early.

    The last five only workers with the plugin say. `chord_id` is the task that a chord ends in;
    `redelivered`: the broker has handed this message out before.
    """

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    name: str | None = None
    args_repr: str | None = None
    kwargs_repr: str | None = None
    retries: int = 0
    eta: float | None = None
    expires: float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    queue: str | None = None
    priority: int | None = None
    group_id: str | None = None
    chord_id: str | None = None
    redelivered: bool | None = None


@event(frozen=True, slots=True)
class TaskStarted:
    """A pool process began to run it."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None


@event(frozen=True, slots=True)
class TaskProgressed:
    """The task says how far it is: `update_state`, or a custom event such as `task-progress`.

    `custom_state` is the application's own name for the state where it isn't PROGRESS.
    """

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    current: float | None = None
    total: float | None = None
    message: str | None = None
    custom_state: str | None = None


@event(frozen=True, slots=True)
class TaskSucceeded:
    """`task-succeeded`: carries the shortened repr of what was returned, never the value."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    result_repr: str | None = None
    runtime: float | None = None


@event(frozen=True, slots=True)
class TaskFailed:
    """`task-failed`."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    exception: str | None = None
    traceback: str | None = None


@event(frozen=True, slots=True)
class TaskRetried:
    """`task-retried`: this attempt failed and another will follow. It does not say which one."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    exception: str | None = None
    traceback: str | None = None


@event(frozen=True, slots=True)
class TaskRejected:
    """`task-rejected`: given back to the broker, to be queued again or dropped."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    requeue: bool = False


@event(frozen=True, slots=True)
class TaskRevoked:
    """`task-revoked`: dropped unrun, expired, or ended while it ran."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None
    terminated: bool = False
    signal: str | None = None
    expired: bool = False


@event(frozen=True, slots=True)
class TaskCancelled:
    """`task-cancelled` (Celery 5.7): a worker that is shutting down let go of a running task."""

    task_id: str
    at: float
    heard_at: float
    worker: str | None = None


_ENDS = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


@event(frozen=True, slots=True)
class ResultStored:
    """The result backend has a new state, with the true value where there is one.

    `status` is the backend's word: one of Celery's states, or one of the application's own.
    With `result_extended` the backend also knows name, args, kwargs, worker, queue, retries.
    A repr stands for a value that is too large to keep, or that JSON can't say. `found`: it was
    read from the backend, so a state that is no end can be an old word.
    """

    task_id: str
    at: float
    heard_at: float
    status: str
    found: bool = False
    result: Json | None = None
    result_repr: str | None = None
    exception: str | None = None
    traceback: str | None = None
    current: float | None = None
    total: float | None = None
    message: str | None = None
    name: str | None = None
    args: Json | None = None
    kwargs: Json | None = None
    args_repr: str | None = None
    kwargs_repr: str | None = None
    worker: str | None = None
    queue: str | None = None
    retries: int | None = None
    parent_id: str | None = None
    group_id: str | None = None

    @property
    def ends(self) -> bool:
        """The task has ended with it."""
        return self.status in _ENDS


@event(frozen=True, slots=True)
class TaskFound:
    """A look at the broker found it: waiting in a queue, or held or run by a worker.

    `running` and `worker` say which: no worker means that it waits in `queue`; a worker that
    is not running it has received it. With `redelivery_at` it is neither: whoever took it is
    gone without acknowledging it, and from that moment on the broker hands it out again.
    """

    task_id: str
    at: float
    heard_at: float
    name: str | None = None
    args: Json | None = None
    kwargs: Json | None = None
    args_repr: str | None = None
    kwargs_repr: str | None = None
    queue: str | None = None
    worker: str | None = None
    running: bool = False
    started_at: float | None = None
    retries: int = 0
    priority: int | None = None
    eta: float | None = None
    expires: float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    chord_id: str | None = None
    redelivery_at: float | None = None


@event(frozen=True, slots=True)
class TaskLost:
    """Nobody has it any more, or nobody can say. Found by us, for `reason`; said by nobody.

    `mark` is the task's own (`Task.mark`) when the evidence was taken: of a task that was
    heard of since, it tells nothing. `redelivery_at`: when the broker hands it out again.
    """

    task_id: str
    at: float
    heard_at: float
    reason: str
    mark: Mark
    worker: str | None = None
    redelivery_at: float | None = None


@event(frozen=True, slots=True)
class WorkerHeartbeat:
    """`worker-online`, `worker-heartbeat`: it lives. Counts are None where it did not say."""

    worker: str
    at: float
    heard_at: float
    online: bool = False
    pid: int | None = None
    active: int | None = None
    processed: int | None = None
    loadavg: tuple[float, ...] = ()
    frequency: float | None = None
    software: str | None = None


@event(frozen=True, slots=True)
class WorkerOffline:
    """`worker-offline`: it is shutting down; what it runs may still end after this."""

    worker: str
    at: float
    heard_at: float


@event(frozen=True, slots=True)
class WorkerLost:
    """It fell silent, and did not answer a ping either. Found by us, said by nobody."""

    worker: str
    at: float
    heard_at: float


@event(frozen=True, slots=True)
class WorkerReported:
    """What a worker answered when asked: pool, queues, tasks that it has registered.

    `catalog` maps a task's name to its JSON document `{"doc": …, "schema": …}`, or to None
    where the worker can only say the name. `started_at` is when its process began, by our clock.
    None throughout: it was not asked or did not say.
    """

    worker: str
    at: float
    heard_at: float
    pid: int | None = None
    pool: str | None = None
    concurrency: int | None = None
    prefetch: int | None = None
    queues: tuple[str, ...] | None = None
    catalog: tuple[tuple[str, Json | None], ...] | None = None
    started_at: float | None = None


@event(frozen=True, slots=True)
class QueueMeasured:
    """A queue as the broker has it now. `depths` is (priority step, messages) for each list.

    `head_ids` are the ids of the messages that would be handed out next, one a priority list;
    the oldest of them tells the queue's waiting age. `orphans` are those handed out to somebody
    who is gone; the first of them is handed out again at `redelivery_at`.
    """

    queue: str
    at: float
    heard_at: float
    depths: tuple[tuple[int, int], ...]
    unacked: int | None = None
    head_ids: tuple[str, ...] = ()
    orphans: int | None = None
    redelivery_at: float | None = None


TaskEvent = (
    TaskSent
    | TaskReceived
    | TaskStarted
    | TaskProgressed
    | TaskSucceeded
    | TaskFailed
    | TaskRetried
    | TaskRejected
    | TaskRevoked
    | TaskCancelled
    | ResultStored
    | TaskFound
    | TaskLost
)
WorkerEvent = WorkerHeartbeat | WorkerOffline | WorkerLost | WorkerReported
Event = TaskEvent | WorkerEvent | QueueMeasured
