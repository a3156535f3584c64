"""Step 1 for durable events: they are read ahead, and the stream itself holds the rest.

Nothing that was written there is ever dropped here: while the steps after this one are behind,
nothing more is read. What the stream has lost is told as a blind window.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis

from app.broker.durable import (
    BEGINNING,
    ENTRIES,
    READ_ENTRIES,
    TRIM_TO,
    Entry,
    EventStream,
    Look,
    moment_of,
)
from app.broker.transport import EVENTS_BYTES
from app.domain.errors import BrokerUnavailable
from app.recorder.producers import Producers
from app.store.blind_windows import STREAM, BlindWindow

AHEAD_BYTES = 8 << 20
"""Bytes of events read and not yet taken: two ticks of a storm."""
PACE_SECONDS = 0.02
"""Between two reads that brought little: what comes meanwhile costs no read of its own, and the
next tick is not earlier anyway."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0)
"""Pauses before a stream that can't be read is tried again; the last one again and again."""
FOLLOWING_SECONDS = 1.0
"""What was written no longer ago than this, and is not yet kept, does not count as being behind."""
MEASURE_SECONDS = 10.0
"""Between two looks at its size; whoever writes looks after every 1 MiB as well."""
UNREAD_BYTES = 1.25
"""Times EVENTS_BYTES: above it unread entries go too, for the broker's memory comes first."""
NOT_YET = "the durable events were not read yet"
TRIMMED, FORGOTTEN = "trimmed", "forgotten"
"""Causes of blind windows: it grew too large before we read it; Redis has lost it."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    """Entries read ahead."""

    entries: deque[Entry] = field(default_factory=deque)
    bytes: int = 0

    def add(self, entries: list[Entry]) -> None:
        self.entries.extend(entries)
        self.bytes += sum(entry.size for entry in entries)

    def take(self, limit: int) -> list[Entry]:
        """The oldest, so many bytes at least: one entry can be more."""
        taken: list[Entry] = []
        while self.entries and limit > 0:
            taken.append(self.entries.popleft())
            limit -= taken[-1].size
        self.bytes -= sum(entry.size for entry in taken)
        return taken


class Durable:
    """Reads the stream on from a position, for the pipeline to take.

    `on_news` is called when there is something to take, `on_gap` with each blind window of the
    stream. `failing` says why it can't be read, "" while it can.
    """

    def __init__(
        self,
        redis: Redis,
        key: str,
        position: str | None,
        producers: Producers,
        events_bytes: int = EVENTS_BYTES,
    ) -> None:
        self.key = key
        self.producers = producers
        self.position = position or BEGINNING
        self.failing = NOT_YET
        self.on_news: Callable[[], None] = lambda: None
        self.on_gap: Callable[[BlindWindow], None] = lambda _: None
        self._redis = redis
        self._events_bytes = events_bytes
        self._waiting = _Waiting()
        self._room = asyncio.Event()
        self._room.set()
        self._kept = self.position
        self._taken_from: float | None = None
        self._moved = False
        self._followed_at = 0.0
        self._measured = 0.0

    def __len__(self) -> int:
        return len(self._waiting.entries)

    @property
    def news(self) -> bool:
        """There is something to take."""
        return bool(self._waiting.entries) or self._moved

    @property
    def behind(self) -> bool:
        """More was read than one tick takes."""
        return self._waiting.bytes > AHEAD_BYTES // 2

    def lag(self, now: float) -> float:
        """Seconds since the oldest entry was written that is read and not yet kept."""
        oldest = self._waiting.entries[0].heard_at if self._waiting.entries else None
        first = self._taken_from if self._taken_from is not None else oldest
        return 0.0 if first is None else max(0.0, now - first)

    def unread(self, moment: float) -> bool:
        """Something can have been written until then that was not read yet. Not so while the
        stream can't be read at all: then what is published is heard."""
        if self.failing:
            return self.failing == NOT_YET
        return self._followed_at < moment

    def take(self, limit: int) -> tuple[list[Entry], str]:
        """Entries in order, and the position that they were read up to."""
        entries = self._waiting.take(limit)
        if self._waiting.bytes < AHEAD_BYTES:
            self._room.set()
        if entries:
            self._taken_from = entries[0].heard_at
            return entries, entries[-1].id.decode()
        self._moved = False
        return [], self.position

    def passed(self) -> None:
        """What was taken went through all steps."""
        self._taken_from = None

    def kept(self, positions: Mapping[str, str]) -> None:
        """What was taken up to these positions of streams is committed."""
        self._kept = positions.get(self.key, self._kept)

    async def run(self) -> None:
        """Reads for ever."""
        attempt = 0
        while True:
            stream = EventStream(self._redis, self.key, self.position)
            try:
                await self._follow(stream)
            except BrokerUnavailable as error:
                if str(error) != self.failing:
                    log.warning("durable events are not read", reason=str(error))
                attempt = attempt + 1 if self.failing else 0
                self.failing = str(error)
                await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            finally:
                self.producers.reading = self.producers.following = False
                await stream.close()

    async def _follow(self, stream: EventStream) -> None:
        await stream.look()  # raises where it can't be read
        log.info("reading durable events", stream=self.key, position=self.position)
        while True:
            self.failing, self.producers.reading = "", True
            if not self._room.is_set():
                self.producers.following = False
                await self._room.wait()
            before, position = time.monotonic(), stream.position
            entries, look = await stream.read()
            if not look.stands:
                await self._tell_gap(stream, look, position, entries)
            self._put(stream, entries, before)
            await self._bound(stream)
            if 0 < len(entries) < READ_ENTRIES // 2:
                await asyncio.sleep(PACE_SECONDS)

    def _put(self, stream: EventStream, entries: list[Entry], before: float) -> None:
        self.position = stream.position
        self._waiting.add(entries)
        if self._waiting.bytes >= AHEAD_BYTES:
            self._room.clear()
        now = time.time()
        following = stream.drained and self.lag(now) < FOLLOWING_SECONDS
        self.producers.following = following
        if following:
            self.producers.followed_at = before
            self._followed_at = now - (time.monotonic() - before)
        if entries:
            self.on_news()

    async def _tell_gap(
        self, stream: EventStream, look: Look, position: str, entries: list[Entry]
    ) -> None:
        """The entry at our position is gone, and so may be others that we have not read."""
        now = time.time()
        began_at = min(now, max(moment_of(position) - stream.ahead, self._followed_at))
        full = look.entries >= ENTRIES / 2 or await stream.memory() >= self._events_bytes / 2
        cause = TRIMMED if full and entries else FORGOTTEN
        ended_at = entries[0].heard_at if entries else now
        if not entries:
            # Whatever is there now is a new stream, or what we have read of the old one; the
            # producers' numbers tell those apart.
            stream.position = BEGINNING
            self._moved = True
            self.on_news()
        log.warning("durable events are gone", cause=cause, stream=self.key, position=position)
        self.producers.excuse()
        self.on_gap(
            BlindWindow(
                began_at=began_at,
                ended_at=max(began_at, ended_at),
                cause=cause,
                source=STREAM,
                note="durable events that were not read yet may be gone",
            )
        )

    async def _bound(self, stream: EventStream) -> None:
        """Keeps the stream within its bound, now and then: what is kept by us goes first."""
        if time.monotonic() - self._measured < MEASURE_SECONDS:
            return
        self._measured = time.monotonic()
        size = await stream.memory()
        if size <= self._events_bytes:
            return
        if self._kept != BEGINNING:
            await stream.trim(self._kept)
            size = await stream.memory()
        if size > self._events_bytes * UNREAD_BYTES:
            entries = (await stream.look()).entries
            await stream.keep(int(entries * self._events_bytes * TRIM_TO / size))
            log.warning("unread durable events go, for the broker's memory", bytes=size)
