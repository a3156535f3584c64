"""The end of the feed in memory: one reader for each web process, shared by all its streams.

How a stream follows it: take `position` (or `position_of` the id it resumes from), then again
and again send `after(position)` and `wait`. Where `position_of` is None, `replay` gives the
missing changes page by page until the position is known, or None: the gap can't be filled,
so the stream says `reset` and goes on from `position`.
"""

import asyncio
import contextlib
import time
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.errors import FeedUnavailable
from app.feed.changes import Change, id_order, reset
from app.feed.replicas import Replica, read_replicas
from app.feed.status import RecorderStatus, read_status
from app.feed.stream import (
    STREAM,
    Entry,
    change_of,
    connect_feed,
    end_if_cancelled,
    feed_errors,
    has_entry,
    newest_entry,
    read_entries,
)
from app.feed.tailed import Tailed

RING_BYTES = 16 * 1024 * 1024
"""Of frames: some 15,000 changes, seconds in a storm and hours otherwise. Older ones are
read from Redis."""
RING_COUNT = 50_000
"""Small changes cost memory beyond their bytes."""
READ_COUNT = 1_000
"""Entries read at once: a tick of the recorder in a storm."""
BLOCK_SECONDS = 1.0
"""Longest wait of one read; after it we look if the feed is still the one that we follow."""
LOOK_SECONDS = 1.0
"""Between two looks at the status of the recorder and at the replicas; a status that says something
new is looked at when its change arrives."""
RECONNECT_SECONDS = 0.1
REPLAY_PAGE = 500
"""Changes read from Redis at once for one stream that resumes: about half a megabyte."""
CATCH_UP_SECONDS = 2.0
"""Patience with an id that another replica has seen and we have not, yet."""


class Tail:
    """A ring of the newest changes, filled by `run`.

    `position` counts changes since this process began; it is never given twice.
    `connected` says whether changes arrive now, `status_since` since when that is so, and
    `reason` why not. `recorder` is what the recorder last said of itself, None when silent, and
    `recorder_at` when we last heard something new of it, by our clock; `replicas` are the
    processes of Umbel on this feed, None where that isn't known.
    """

    def __init__(
        self, redis_url: str, *, ring_bytes: int = RING_BYTES, ring_count: int = RING_COUNT
    ) -> None:
        self._redis: Redis = connect_feed(redis_url)
        self._ring_bytes, self._ring_count = ring_bytes, ring_count
        self._ring: list[Tailed] = []
        self._bytes = 0
        self._positions: dict[str, int] = {}
        self._grown = asyncio.Event()
        self._status_told = asyncio.Event()
        self.position = 0
        self.head: str | None = None
        self.connected = False
        self.status_since = time.time()
        self.reason = "not connected yet"
        self.recorder: RecorderStatus | None = None
        self.recorder_at = self.status_since
        self.replicas: tuple[Replica, ...] | None = None

    async def run(self) -> None:
        """Follows the feed until cancelled, through whatever happens to Redis."""
        watching = asyncio.create_task(self._watch_others())
        try:
            while True:
                end_if_cancelled()
                try:
                    await self._follow()
                except (RedisError, OSError, TimeoutError) as error:
                    self._say(False, f"the feed's Redis does not answer: {error}")
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            watching.cancel()
            await self._redis.aclose()

    def after(self, position: int, limit: int = READ_COUNT) -> list[Tailed] | None:
        """Changes after a position, oldest first; None if they are no longer in the ring."""
        start = position - (self.position - len(self._ring))
        return None if start < 0 else self._ring[start : start + limit]

    def position_of(self, feed_id: str) -> int | None:
        """The position of an id that is in the ring."""
        return self._positions.get(feed_id)

    async def wait(self, position: int, patience: float) -> bool:
        """Waits for a change after `position`, up to `patience` seconds; whether there is one."""
        grown = self._grown
        if self.position > position:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await grown.wait()
        return self.position > position

    async def replay(self, feed_id: str, limit: int = REPLAY_PAGE) -> list[Change] | None:
        """The next changes after an id that is not in the ring, oldest first.

        None: there is a gap, or the id never was one of ours. Raises FeedUnavailable.
        """
        try:
            order = id_order(feed_id)
        except ValueError:
            return None
        async with feed_errors():
            found = await read_entries(self._redis, feed_id, "+", limit + 1)
        if not found or found[0].id != feed_id:
            return None
        if self.head is None or order > id_order(self.head):
            return [] if await self._reach(feed_id) else None
        newest = id_order(self.head)
        changes = [change for change in found[1:] if id_order(change.id) <= newest]
        return changes if changes or self.position_of(feed_id) is not None else None

    async def _reach(self, feed_id: str) -> bool:
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while self.position_of(feed_id) is None and (left := deadline - time.monotonic()) > 0:
            await self.wait(self.position, left)
        return self.position_of(feed_id) is not None

    async def _follow(self) -> None:
        await self._find_place()
        self._say(True, "")
        while True:
            end_if_cancelled()
            block = int(BLOCK_SECONDS * 1000)
            after = self.head or "0-0"
            found = await self._redis.xread({STREAM: after}, count=READ_COUNT, block=block)
            answer = cast(list[tuple[bytes, list[Entry]]], found)
            # Asked after the read: whatever came between this head and what we got is there.
            if self.head is not None and not await has_entry(self._redis, self.head):
                await self._find_place()
            elif answer:
                self._append([change_of(entry) for entry in answer[0][1]])

    async def _find_place(self) -> None:
        """Goes on from where we were, or says `reset` if that place is gone."""
        if self.head is None and self.position > 0:
            return  # it was empty: whatever is there now comes after
        if self.head is not None and await has_entry(self._redis, self.head):
            return
        newest = await newest_entry(self._redis)
        if self.position == 0:  # the first look: nobody follows yet
            if newest is not None:
                self._append([newest])
            return
        self._ring.clear()
        self._positions.clear()
        self._bytes = 0
        self.head = None
        place = "" if newest is None else newest.id
        self._append([reset(place, "the feed was cut off or emptied")])

    def _append(self, changes: list[Change]) -> None:
        for change in changes:
            self.position += 1
            tailed = Tailed(self.position, change)
            self._ring.append(tailed)
            self._bytes += tailed.size
            if change.id:
                self.head = change.id
                self._positions[change.id] = self.position
            if change.kind == "stats":
                self._status_told.set()
        if self._bytes > self._ring_bytes or len(self._ring) > self._ring_count:
            self._drop_oldest()
        self._wake()

    def _drop_oldest(self) -> None:
        """Cuts to three quarters, so that the list is not shifted for every change."""
        keep_bytes, keep_count = self._ring_bytes * 3 // 4, self._ring_count * 3 // 4
        drop = 0
        while drop < len(self._ring) - 1 and (
            self._bytes > keep_bytes or len(self._ring) - drop > keep_count
        ):
            oldest = self._ring[drop]
            self._bytes -= oldest.size
            self._positions.pop(oldest.change.id, None)
            drop += 1
        del self._ring[:drop]

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _say(self, connected: bool, reason: str) -> None:
        if connected != self.connected:
            self.status_since = time.time()
        self.connected, self.reason = connected, reason

    async def _watch_others(self) -> None:
        """Looks each second, and when the recorder says that something is different with it."""
        while True:
            end_if_cancelled()
            self._status_told.clear()
            try:
                async with feed_errors():
                    said = await read_status(self._redis)
                if said is not None and (self.recorder is None or said.at != self.recorder.at):
                    self.recorder_at = time.time()
                self.recorder = said
            except (
                FeedUnavailable,
                ValueError,
            ):  # away, which `_follow` says; or of another version
                self.recorder = None
            try:
                self.replicas = tuple(await read_replicas(self._redis))
            except FeedUnavailable:
                self.replicas = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._status_told.wait()
