"""A look at what is there already: the workers and what they hold, and what waits in queues.

It only reads. A look is never a picture of one moment, for messages move on while it is
taken: a task can be seen twice or not at all. Its events correct the picture, later ones too.
"""

import time
from collections.abc import AsyncIterator, Iterable

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.broker.answers import is_refusal, read_held, read_pid, read_reports
from app.broker.connection import reading
from app.broker.control import ask, ask_each
from app.broker.queued import read_queued, read_unacked
from app.broker.transport import Transport
from app.domain.events import Event, Json, TaskFound

WAITING_LIMIT = 20_000
"""Messages that one look reads: some 20 MB and half a second. The next ones to run come first."""
PAGE = 500
"""Messages of one LRANGE: 2 ms of the broker's time, which everybody else waits for."""
PAGE_BYTES = 4 << 20
"""Bytes that a page should have at most, judged by the messages before it."""
PLAIN_LIMIT = 10_000
"""Plain workers remembered: those of a month where each deployment gives them new names."""
UNACKED_PAGE = 100
"""Entries that one HSCAN is asked for; each holds a whole message."""


Plain = dict[str, int | None]
"""Workers that have no catalog of their own, with the process that said so."""


async def ask_workers(
    redis: Redis, transport: Transport, plain: Plain | None = None
) -> list[Event]:
    """What all workers answer: a report of each, then what they run and hold.

    A plain Celery worker logs an error with a traceback when it is asked for the catalog of
    Umbel's plugin. Who has none is remembered in `plain`, and asked again when it restarts.

    Takes as long as the slowest worker that heard, at most ASK_TIMEOUT. Who does not answer
    (a solo worker in the middle of a task) is absent. Raises BrokerUnavailable.
    """

    methods = ("stats", "active_queues", "registered", "active", "reserved", "scheduled")
    stats, queues, registered, active, reserved, scheduled = await ask_each(
        redis, transport, methods
    )
    catalog = await _ask_catalog(redis, transport, stats, {} if plain is None else plain)
    at = time.time()
    return [
        *read_reports(stats, queues, registered, catalog, at),
        *read_held(active, reserved, scheduled, at),
    ]


async def _ask_catalog(
    redis: Redis, transport: Transport, stats: dict[str, Json], plain: Plain
) -> dict[str, Json]:
    pids = {worker: read_pid(answer) for worker, answer in stats.items()}
    asked = [worker for worker, pid in pids.items() if (worker, pid) not in plain.items()]
    if not asked:
        return {}
    catalog = await ask(redis, transport, "umbel_catalog", {}, destination=asked)
    if len(plain) > PLAIN_LIMIT:
        plain.clear()
    plain.update({worker: pids[worker] for worker, said in catalog.items() if is_refusal(said)})
    return catalog


async def find_waiting(
    redis: Redis, transport: Transport, queues: Iterable[str]
) -> list[TaskFound]:
    """The tasks in these queues, WAITING_LIMIT in all. Raises BrokerUnavailable."""
    found: list[TaskFound] = []
    seen = 0
    with reading(transport.url):
        async for queue, message in _messages(redis, transport, queues):
            if seen >= WAITING_LIMIT:
                break
            seen += 1
            if task := read_queued(message, queue, time.time()):
                found.append(task)
    return found


async def find_handed_out(redis: Redis, transport: Transport) -> list[TaskFound]:
    """The tasks that are handed out and not acknowledged, at most WAITING_LIMIT.

    They name no worker: who has them, workers say themselves. Raises BrokerUnavailable.
    """
    found: list[TaskFound] = []
    with reading(transport.url):
        async for _, entry in unacked_entries(redis, transport, WAITING_LIMIT):
            if task := read_unacked(entry, time.time()):
                found.append(task)
    return found


async def unacked_entries(
    redis: Redis, transport: Transport, limit: int
) -> AsyncIterator[tuple[str, bytes]]:
    """The entries of the unacked hash by delivery tag, at most `limit`; those that move meanwhile
    may be missed."""
    cursor, seen = 0, 0
    while seen < limit:
        try:
            cursor, page = await redis.hscan(transport.unacked_key(), cursor, count=UNACKED_PAGE)
        except ResponseError:  # somebody keeps something else under that name
            return
        for tag, entry in page.items() if isinstance(page, dict) else ():
            seen += 1
            if seen > limit:
                return
            if isinstance(tag, bytes) and isinstance(entry, bytes):
                yield tag.decode("utf-8", "replace"), entry
        if cursor == 0:
            return


async def _messages(
    redis: Redis, transport: Transport, queues: Iterable[str]
) -> AsyncIterator[tuple[str, bytes]]:
    """Message by message, of each queue the ones that run next first."""
    for queue in queues:
        for key in transport.queue_keys(queue):
            async for message in _list_from_end(redis, key):
                yield queue, message


async def _list_from_end(redis: Redis, key: str) -> AsyncIterator[bytes]:
    read, size, total = 0, PAGE // 10, 0
    while True:
        try:
            page = await redis.lrange(key, -(read + size), -(read + 1))
        except ResponseError:  # no list: not a queue, whatever its name
            return
        for message in reversed(page):
            if isinstance(message, bytes):
                yield message
        if len(page) < size:
            return
        read += len(page)
        total += sum(map(len, page))
        size = max(1, min(PAGE, PAGE_BYTES // max(1, total // read)))
