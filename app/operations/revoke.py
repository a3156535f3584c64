"""Asking workers not to run a task, or to end one that runs."""

from dataclasses import dataclass

from redis.asyncio import Redis

from app.broker.control import broadcast
from app.broker.transport import Transport
from app.broker.withdraw import withdraw
from app.domain.errors import BadInput, Conflict, FieldError
from app.domain.tasks import WAITING, Task

SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""Signals that end a pool process, or that applications have handlers for. SIGUSR1 is Celery's
own soft time limit. Others stop or trace a process, and would leave the worker hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """What was asked of the workers; it is so when they say so.

    `heard`: by how many. `withdrawn`: no worker was there, and the message is off its queue.
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


def check_open(task: Task) -> None:
    """Raises Conflict where the task has ended already."""
    if task.state.ended:
        raise Conflict(f"The task has ended already: it is {task.state.value}.")


async def send_revoke(
    redis: Redis, transport: Transport, task: Task, *, terminate: bool, signal: str
) -> Requested:
    """Tells all workers; where there is none, takes the message back. Raises BrokerUnavailable.

    A revoke that no worker heard is kept by nobody, and the next worker would run the task.
    """
    arguments = {"task_id": task.id, "terminate": terminate, "signal": signal}
    heard = await broadcast(redis, transport, "revoke", arguments)
    withdrawn = False
    if heard == 0 and task.state in WAITING:
        queue = task.queue or transport.default_queue
        withdrawn = await withdraw(redis, transport, task.id, queue)
    return Requested(
        task_id=task.id,
        terminate=terminate,
        signal=signal if terminate else None,
        heard=heard,
        withdrawn=withdrawn,
    )
