"""A look at what is there already: the workers and what they hold, and what waits in queues."""

from collections.abc import Iterable

from redis.asyncio import Redis

from app.broker.transport import Transport
from app.domain.events import Event, TaskFound


async def ask_workers(redis: Redis, transport: Transport) -> list[Event]:
    """What all workers answer."""
    raise NotImplementedError


async def find_waiting(
    redis: Redis, transport: Transport, queues: Iterable[str]
) -> list[TaskFound]:
    """Messages that wait in these queues."""
    raise NotImplementedError
