"""The queues as the broker has them now: which there are, and how much waits in each."""

import time
from collections import Counter
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.broker import texts
from app.broker.answers import read_exchanges, read_reports
from app.broker.connection import reading
from app.broker.control import ask
from app.broker.queued import queue_of_unacked, read_id
from app.broker.snapshot import unacked_entries
from app.broker.transport import Transport
from app.domain.events import QueueMeasured

UNACKED_LIMIT = 2000
"""Handed-out messages that are counted by queue: each is read whole, every few seconds. With
more of them a queue's own share is not known; how many there are in all, HLEN still says."""
BOUND_LIMIT = 1000
"""Queues of one exchange that are looked at."""


async def measure_queues(
    redis: Redis, transport: Transport, queues: Sequence[str]
) -> list[QueueMeasured]:
    """The depth of each queue by priority step, its next messages, and what is handed out.

    `unacked` is None where too much is handed out to tell by queue. One round trip and a
    bounded scan. Raises BrokerUnavailable.
    """
    with reading(transport.url):
        async with redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                for key in transport.queue_keys(queue):
                    pipe.llen(key)
                    pipe.lindex(key, -1)
            answers = await pipe.execute(raise_on_error=False)
        unacked = await _unacked_by_queue(redis, transport)
    at = time.time()
    steps = transport.priority_steps
    width = 2 * len(steps)
    found = []
    for index, queue in enumerate(queues):
        mine = answers[index * width : (index + 1) * width]
        ids = (read_id(head) for head in mine[1::2] if isinstance(head, bytes))
        found.append(
            QueueMeasured(
                queue=queue,
                at=at,
                heard_at=at,
                depths=tuple(
                    (step, depth if isinstance(depth, int) else 0)
                    for step, depth in zip(steps, mine[::2], strict=True)
                ),
                unacked=None if unacked is None else unacked[queue],
                head_ids=tuple(task_id for task_id in ids if task_id),
            )
        )
    return found


async def find_queue_names(redis: Redis, transport: Transport) -> set[str]:
    """The queues that settings name, that workers read, and that are bound to their exchanges.

    An empty queue has no key on Redis, and keys are never searched: so it takes someone who
    knows its name. Takes at most ASK_TIMEOUT. Raises BrokerUnavailable.
    """
    answers = await ask(redis, transport, "active_queues", {})
    found = {transport.default_queue, *transport.extra_queues}
    for report in read_reports({}, answers, {}, {}, time.time()):
        found.update(report.queues or ())
    exchanges = {name for name in found | read_exchanges(answers) if name}
    with reading(transport.url):
        for exchange in sorted(exchanges):
            found |= await _bound(redis, transport, exchange)
    return found


async def _bound(redis: Redis, transport: Transport, exchange: str) -> set[str]:
    """The last part of each binding is the queue's name; reply queues of control are no queues."""
    try:
        _, members = await redis.sscan(transport.binding_key(exchange), 0, count=BOUND_LIMIT)
    except ResponseError:
        return set()
    texts_of = (str(member, "utf-8", "replace") for member in members if isinstance(member, bytes))
    parts = (text.split(transport.sep) for text in texts_of)
    names = (texts.name(part[-1]) for part in parts if len(part) == 3)
    return {name for name in names if name and not name.endswith(".pidbox")}


async def _unacked_by_queue(redis: Redis, transport: Transport) -> Counter[str] | None:
    try:
        if await redis.hlen(transport.unacked_key()) > UNACKED_LIMIT:
            return None
    except ResponseError:
        return Counter()
    counted: Counter[str] = Counter()
    async for entry in unacked_entries(redis, transport, UNACKED_LIMIT):
        if queue := queue_of_unacked(entry):
            counted[queue] += 1
    return counted
