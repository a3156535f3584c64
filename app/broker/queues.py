"""The queues as the broker has them now: which there are, and how much waits in each."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(slots=True)
class _HandedOut:
    """What of one queue is handed out; `orphans` to somebody who is gone."""

    unacked: int = 0
    orphans: int = 0
    redelivery_at: float | None = None


async def measure_queues(
    redis: Redis,
    transport: Transport,
    queues: Sequence[str],
    orphans: Mapping[str, float] | None = None,
) -> list[QueueMeasured]:
    """The depth of each queue by priority step, its next messages, and what is handed out.

    `unacked` is None where too much is handed out to tell by queue. `orphans` says of which
    messages, by delivery tag, nobody has them, and when they are handed out again; None: that
    was not found out yet. One round trip and a bounded scan. Raises BrokerUnavailable.
    """
    with reading(transport.url):
        async with redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                for key in transport.queue_keys(queue):
                    pipe.llen(key)
                    pipe.lindex(key, -1)
            answers = await pipe.execute(raise_on_error=False)
        handed_out = await _handed_out(redis, transport, orphans or {})
    at = time.time()
    steps = transport.priority_steps
    width = 2 * len(steps)
    found = []
    for index, queue in enumerate(queues):
        mine = answers[index * width : (index + 1) * width]
        ids = (read_id(head) for head in mine[1::2] if isinstance(head, bytes))
        given = (handed_out or {}).get(queue, _HandedOut())
        found.append(
            QueueMeasured(
                queue=queue,
                at=at,
                heard_at=at,
                depths=tuple(
                    (step, depth if isinstance(depth, int) else 0)
                    for step, depth in zip(steps, mine[::2], strict=True)
                ),
                unacked=None if handed_out is None else given.unacked,
                head_ids=tuple(task_id for task_id in ids if task_id),
                orphans=None if handed_out is None or orphans is None else given.orphans,
                redelivery_at=given.redelivery_at,
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


async def _handed_out(
    redis: Redis, transport: Transport, orphans: Mapping[str, float]
) -> dict[str, _HandedOut] | None:
    found: dict[str, _HandedOut] = {}
    try:
        if await redis.hlen(transport.unacked_key()) > UNACKED_LIMIT:
            return None
    except ResponseError:
        return found
    async for tag, entry in unacked_entries(redis, transport, UNACKED_LIMIT):
        if queue := queue_of_unacked(entry):
            given = found.setdefault(queue, _HandedOut())
            given.unacked += 1
            if (again := orphans.get(tag)) is not None:
                given.orphans += 1
                given.redelivery_at = min(again, given.redelivery_at or again)
    return found
