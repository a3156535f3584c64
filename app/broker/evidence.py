"""Where each task is now: in which queue, handed out to nobody who says so, with which worker.

What a verdict on tasks that were not heard of rests on (`app.domain.verdict`). It only reads, a
page at a time with a pause after each, up to limits that it says when it meets them. The places
are read in the order in which a task goes through them, so that one that moves on while they
are read is seen in the next: queues, then what is handed out, then the workers. Results are
asked for last, by whoever knows of which tasks.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.broker.answers import (
    holds_more,
    read_held,
    read_pid,
    read_uptime,
    read_visibility_timeout,
)
from app.broker.connection import reading
from app.broker.control import ask, ask_each
from app.broker.queued import read_id, read_unacked
from app.broker.transport import Transport
from app.domain.events import TaskFound
from app.domain.verdict import Read

QUEUE_LIMIT = 50_000
"""Messages that one look reads in all queues together, the shortest queue first: some 50 MB and
2 s. A queue that does not fit is not read whole, and of what lies in it nothing can be said."""
QUEUE_BYTES = 128 << 20
"""The same in bytes, for large messages."""
NEXT_LIMIT = 1_000
"""Messages read at the end that runs next, of each list that is not read whole: there a worker
that stops puts back what it had. A hundred workers have some hundreds."""
PAGE = 500
"""Messages of one LRANGE: 2 ms of the broker's time, which everybody else waits for."""
PAGE_BYTES = 4 << 20
"""Bytes that a page should have at most, judged by the messages before it."""
FIRST_PAGE = 50
"""Messages of the first page of a list, before anything is known of their size."""
UNACKED_LIMIT = 20_000
"""Entries of `unacked` that one look reads: prefetched and ETA tasks of some thousand workers."""
UNACKED_BYTES = 64 << 20
UNACKED_PAGE = 100
"""Entries that one HSCAN is asked for; each holds a whole message."""
PAUSE_SECONDS = 0.02
"""After each page: at most 25,000 messages a second, a tenth of a Redis."""
CELERY_VISIBILITY_TIMEOUT = 3600.0
"""Celery's own, in seconds."""
PROCESSES_LIMIT = 10_000
"""Worker processes whose settings are remembered, so that each is asked once."""


class HandedOut(NamedTuple):
    """A message that is handed out and not acknowledged: to whom, Redis does not know.

    `redelivery_at`: from then on any worker may put it back into its queue, at its next sweep
    (about every 100 s or less). None where it has no time of delivery.
    """

    tag: str
    delivered_at: float | None
    redelivery_at: float | None
    found: TaskFound


@dataclass(frozen=True, slots=True)
class Process:
    """A worker that has said all that it holds. `began_at` is by our clock, and at most half a
    second later than it was: workers round."""

    pid: int | None
    began_at: float | None


@dataclass(slots=True, kw_only=True)
class Whereabouts:
    """What one look has seen. `read` says of each queue how much of it, `unacked` whether all
    that is handed out was read; `processes` are the workers that answered, by name. `guessed`: no
    worker has said its visibility timeout, so Celery's own stands for it."""

    queued: dict[str, str] = field(default_factory=dict)
    read: dict[str, Read] = field(default_factory=dict)
    handed_out: dict[str, HandedOut] = field(default_factory=dict)
    unacked: bool = False
    guessed: bool = False
    held: dict[str, TaskFound] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)


class WorkerSettings:
    """The visibility timeout of each worker process, asked for once, and kept when it is gone."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int | None, float]] = {}

    async def learn(
        self, redis: Redis, transport: Transport, processes: Mapping[str, Process]
    ) -> None:
        """Asks those that were not asked yet. Raises BrokerUnavailable."""
        if transport.visibility_timeout is not None:
            return
        new = [
            name
            for name, process in processes.items()
            if name not in self._asked or self._asked[name][0] != process.pid
        ]
        if not new:
            return
        if len(self._asked) + len(new) > PROCESSES_LIMIT:
            self._asked.clear()
        answers = await ask(redis, transport, "conf", {}, destination=new)
        for name, said in answers.items():
            if name in processes:
                timeout = read_visibility_timeout(said) or CELERY_VISIBILITY_TIMEOUT
                self._asked[name] = processes[name].pid, timeout

    def visibility_timeout(self, transport: Transport, online: Iterable[str]) -> float | None:
        """The shortest, for any worker hands out again what is due by its own setting; None where
        nobody has said it."""
        if transport.visibility_timeout is not None:
            return transport.visibility_timeout
        known = [self._asked[name][1] for name in online if name in self._asked]
        known = known or [timeout for _, timeout in self._asked.values()]
        return min(known, default=None)


async def look(
    redis: Redis,
    transport: Transport,
    settings: WorkerSettings,
    queues: Iterable[str],
    *,
    limit: int = QUEUE_LIMIT,
) -> Whereabouts:
    """Where all tasks are now. At most `limit` messages of queues are read for it, and of each
    queue that is longer the end that runs next.

    Raises BrokerUnavailable.
    """
    seen = Whereabouts()
    with reading(transport.url):
        await _read_queues(redis, transport, sorted(set(queues)), limit, seen)
        await _read_unacked(redis, transport, seen)
    await _ask_workers(redis, transport, seen)
    await settings.learn(redis, transport, seen.processes)
    timeout = settings.visibility_timeout(transport, seen.processes)
    seen.guessed = timeout is None
    for task_id, entry in seen.handed_out.items():
        if entry.delivered_at is not None:
            due = entry.delivered_at + (timeout or CELERY_VISIBILITY_TIMEOUT)
            found = replace(entry.found, redelivery_at=due)
            seen.handed_out[task_id] = entry._replace(redelivery_at=due, found=found)
    return seen


async def _read_queues(
    redis: Redis, transport: Transport, queues: list[str], messages: int, seen: Whereabouts
) -> None:
    lengths = await _lengths(redis, transport, queues)
    size = QUEUE_BYTES
    for queue in sorted(queues, key=lambda name: sum(lengths[name])):
        seen.read[queue] = Read.WHOLE
        for key, length in zip(transport.queue_keys(queue), lengths[queue], strict=True):
            if length == 0:
                continue
            fits = length <= max(messages, NEXT_LIMIT)
            pages = _from_beginning(redis, key) if fits else _from_end(redis, key)
            if not fits:
                seen.read[queue] = Read.NEXT
            read = 0
            async for page in pages:
                read += len(page)
                size -= sum(map(len, page))
                seen.queued |= {found: queue for raw in page if (found := read_id(raw))}
                if read > 2 * length + PAGE or size < 0:
                    # It grows as fast as it is read, or its messages are too large to be.
                    seen.read[queue] = Read.NOTHING
                    break
                await asyncio.sleep(PAUSE_SECONDS)
            messages -= read


async def _lengths(
    redis: Redis, transport: Transport, queues: list[str]
) -> dict[str, tuple[int, ...]]:
    """How much waits in each list of each queue; what is no list holds nothing."""
    async with redis.pipeline(transaction=False) as pipe:
        for queue in queues:
            for key in transport.queue_keys(queue):
                pipe.llen(key)
        answers = await pipe.execute(raise_on_error=False) if queues else []
    numbers = [answer if isinstance(answer, int) else 0 for answer in answers]
    width = len(transport.priority_steps)
    return {queue: tuple(numbers[at * width : (at + 1) * width]) for at, queue in enumerate(queues)}


async def _from_beginning(redis: Redis, key: str) -> AsyncIterator[list[bytes]]:
    """The whole list from where messages are added: one that is added or taken meanwhile moves
    none of the others out of the way of the reader."""
    at, size, total = 0, FIRST_PAGE, 0
    while True:
        try:
            page = await redis.lrange(key, at, at + size - 1)
        except ResponseError:  # no list: not a queue, whatever its name
            return
        yield cast(list[bytes], page)
        if len(page) < size:
            return
        at += len(page)
        total += sum(map(len, page))
        size = _next_size(total, at)


async def _from_end(redis: Redis, key: str) -> AsyncIterator[list[bytes]]:
    at, size, total = 0, FIRST_PAGE, 0
    while at < NEXT_LIMIT:
        try:
            page = await redis.lrange(key, -(at + size), -(at + 1))
        except ResponseError:
            return
        yield cast(list[bytes], page)
        if len(page) < size:
            return
        at += len(page)
        total += sum(map(len, page))
        size = min(_next_size(total, at), NEXT_LIMIT - at)


def _next_size(total: int, messages: int) -> int:
    return max(1, min(PAGE, PAGE_BYTES // max(1, total // messages)))


async def _read_unacked(redis: Redis, transport: Transport, seen: Whereabouts) -> None:
    """Everything handed out, with the time of its delivery; `seen.unacked` if that was all."""
    cursor, count, size = 0, 0, 0
    while True:
        try:
            answer = await redis.hscan(transport.unacked_key(), cursor, count=UNACKED_PAGE)
        except ResponseError:  # somebody keeps something else under that name
            return
        cursor, page = cast(tuple[int, dict[bytes, bytes]], answer)
        await _add_handed_out(redis, transport, page, seen)
        count += len(page)
        size += sum(map(len, page.values()))
        if cursor == 0:
            seen.unacked = True
            return
        if count >= UNACKED_LIMIT or size >= UNACKED_BYTES:
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def _add_handed_out(
    redis: Redis, transport: Transport, page: Mapping[bytes, bytes], seen: Whereabouts
) -> None:
    if not page:
        return
    async with redis.pipeline(transaction=False) as pipe:
        for tag in page:
            pipe.zscore(transport.unacked_index_key(), tag)
        scores = await pipe.execute(raise_on_error=False)
    now = time.time()
    for (tag, entry), score in zip(page.items(), scores, strict=True):
        if found := read_unacked(entry, now):
            at = score if isinstance(score, float) else None
            given = HandedOut(tag.decode("utf-8", "replace"), at, None, found)
            before = seen.handed_out.get(found.task_id)
            # Handed out twice: what counts is when it comes again.
            if before is None or (at or now) < (before.delivered_at or now):
                seen.handed_out[found.task_id] = given


async def _ask_workers(redis: Redis, transport: Transport, seen: Whereabouts) -> None:
    asked_at = time.time()
    methods = ("stats", "active", "reserved", "scheduled")
    stats, active, reserved, scheduled = await ask_each(redis, transport, methods)
    now = time.time()
    for found in read_held(active, reserved, scheduled, now):
        before = seen.held.get(found.task_id)
        if before is None or not before.running:
            seen.held[found.task_id] = found
    for worker, said in stats.items():
        held = [each.get(worker) for each in (active, reserved, scheduled)]
        if all(each is not None and not holds_more(each) for each in held):
            uptime = read_uptime(said)
            began_at = None if uptime is None else asked_at - uptime
            seen.processes[worker] = Process(read_pid(said), began_at)
