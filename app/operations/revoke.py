"""Asking workers not to run a task, or to end one that runs."""

from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from app.broker.revoked_result import store_revoked
from app.broker.revokes import Revoke, keep_and_send
from app.broker.transport import Transport
from app.broker.withdraw import Withdrawn, withdraw
from app.domain.errors import BadInput, Conflict, FieldError
from app.domain.tasks import RUNNING, Task, TaskState

SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""Signals that end a pool process, or that applications have handlers for. SIGUSR1 is Celery's
own soft time limit. Others stop or trace a process, and would leave the worker hanging."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """What was asked of the workers; it is so when they say so.

    `heard`: by how many. `withdrawn`: its message waited, and is off its queue.
    """

    task_id: str
    requested: str = "revoke"
    terminate: bool = False
    signal: str | None = None
    heard: int = 0
    withdrawn: bool = False


def check_signal(signal: str) -> str:
    """The signal's full name. Raises BadInput for one that is not in `SIGNALS`."""
    name = signal.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in SIGNALS:
        allowed = f"{signal[:20]!r} is not one of {', '.join(SIGNALS)}"
        raise BadInput(f"signal {allowed}.", (FieldError(("query", "signal"), allowed),))
    return name


def is_open(task: Task) -> bool:
    """It can still run: it has not ended, or is lost while the broker has its message yet."""
    handed_out_again = task.state is TaskState.LOST and task.redelivery_at is not None
    return handed_out_again or not task.state.ended


def check_open(task: Task) -> None:
    """Raises Conflict where the task has ended already."""
    if not is_open(task):
        raise Conflict(f"The task has ended already: it is {task.state.value}.")


async def send_revoke(
    redis: Redis, transport: Transport, task: Task, *, by: str, terminate: bool, signal: str
) -> Requested:
    """Writes it down for workers to come, tells those that are there, and takes the message back
    where it waits in its queue. Raises BrokerUnavailable.
    """
    queue = task.queue or transport.default_queue
    revoke = Revoke(
        task_id=task.id,
        terminate=terminate,
        signal=signal if terminate else None,
        queue=queue,
        by=by,
    )
    kept = await keep_and_send(redis, transport, revoke)
    if kept.dropped:
        log.warning("the ledger of revokes is full: the oldest went", dropped=kept.dropped)
    withdrawn: list[Withdrawn] = []
    if task.state not in RUNNING:
        withdrawn = (await withdraw(redis, transport, [task.id], [queue])).taken
        await store_revoked(transport, withdrawn)
    return Requested(
        task_id=task.id,
        terminate=terminate,
        signal=signal if terminate else None,
        heard=kept.heard,
        withdrawn=bool(withdrawn),
    )
