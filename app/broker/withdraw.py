"""Taking a task's message back off its queue, where no worker is there to hear a revoke.

Celery keeps no revoke that nobody heard: the next worker to come would run the task. Only a
person's explicit request gets here, and only the one message is touched.
"""

import json
import time
from typing import cast

from redis.asyncio import Redis

from app.broker.connection import reading
from app.broker.message import Writer
from app.broker.transport import Transport

PAGE = 500
"""Messages read at once: some 0.5 MB."""
SEARCHED = 20_000
"""Messages of a list that are searched, those handed out next first: some 100 ms of Redis."""

# The removal and the event that tells of it stand or fall together.
_REMOVE = """
local removed = redis.call('LREM', KEYS[1], -1, ARGV[1])
if removed == 1 then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return removed
"""


async def withdraw(redis: Redis, transport: Transport, task_id: str, queue: str) -> bool:
    """Remove the task's message from its queue and tell so by a `task-revoked` event.

    False where it isn't among those searched, or was handed out meanwhile. Raises
    BrokerUnavailable.
    """
    with reading(transport.url):
        for key in transport.queue_keys(queue):
            message = await _find(redis, key, task_id)
            if message is not None:
                event = _revoked(transport, task_id)
                channel = transport.event_channel("task-revoked")
                return bool(await redis.eval(_REMOVE, 1, key, message, channel, event))
    return False


async def _find(redis: Redis, key: str, task_id: str) -> bytes | None:
    mark = json.dumps(task_id).encode()
    for start in range(0, SEARCHED, PAGE):
        page = cast(list[bytes], await redis.lrange(key, -start - PAGE, -start - 1))
        for message in reversed(page):
            if mark in message and _is_of(message, task_id):
                return message
        if len(page) < PAGE:
            break
    return None


def _is_of(message: bytes, task_id: str) -> bool:
    try:
        return bool(json.loads(message)["headers"]["id"] == task_id)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _revoked(transport: Transport, task_id: str) -> bytes:
    writer = Writer(transport)
    event = writer.event(
        "task-revoked", time.time(), uuid=task_id, terminated=False, signum=None, expired=False
    )
    return writer.envelope(event, "task-revoked", task_id)
