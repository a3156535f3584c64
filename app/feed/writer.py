"""The one writer of the feed: ids that only grow, entries in their order, a bounded size."""

import time
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.feed.changes import Change, id_order
from app.feed.stream import DATA, KIND, STREAM, feed_errors, has_entry, newest_entry

FEED_BYTES = 32 * 1024 * 1024
"""What the feed may take of Redis: some 30,000 changes, hours of an ordinary day."""
TRIM_EVERY = 1024 * 1024
"""Bytes announced between two looks at the feed's size."""
TRIM_TO = 0.9
"""Cut a little below the bound, so that not every look cuts."""


class Feed:
    """Announces changes under ids that are given before they are announced.

    A change gets its id when it is committed, and is announced under it afterwards, maybe
    by another process after a crash: an id that the feed has already is not announced twice.
    """

    def __init__(self, redis: "Redis", *, feed_bytes: int = FEED_BYTES) -> None:
        self._redis = redis
        self._feed_bytes = feed_bytes
        self._last = (0, 0)
        self._announced: str | None = None
        self._since_trim = 0

    async def open(self, last_given: str | None) -> None:
        """Finds where ids go on: after the feed's own last and `last_given`, the store's."""
        async with feed_errors():
            newest = await newest_entry(self._redis)
            generated = await self._last_generated()
        self._announced = None if newest is None else newest.id
        known = [generated, last_given] if last_given else [generated]
        self._last = max([self._last, *map(id_order, known)])

    def give_ids(self, count: int) -> list[str]:
        """The next ids: the time in milliseconds, or the last one's where clocks step back."""
        now = int(time.time() * 1000)
        last_ms, last_seq = self._last
        ms, seq = (now, 0) if now > last_ms else (last_ms, last_seq + 1)
        self._last = (ms, seq + count - 1)
        return [f"{ms}-{seq + step}" for step in range(count)]

    async def announce(self, changes: Sequence[Change]) -> bool:
        """Adds the changes in order. False: what was announced before is gone, so that readers
        have to be told `reset`. Raises FeedUnavailable; then announce the same again.
        """
        pipeline = self._redis.pipeline(transaction=False)
        if self._announced is not None:
            pipeline.xrange(STREAM, self._announced, self._announced, count=1)
        for change in changes:
            fields = {KIND: change.kind.encode(), DATA: change.data}
            pipeline.xadd(STREAM, fields, id=change.id)  # type: ignore[arg-type]
        async with feed_errors():
            answers = await pipeline.execute(raise_on_error=False)
            whole = self._announced is None or bool(answers.pop(0))
            whole = await self._all_there(changes, answers) and whole
            self._since_trim += sum(len(change.data) for change in changes)
            if self._since_trim >= TRIM_EVERY:
                await self.trim()
        if changes:
            self._announced = changes[-1].id
        return whole

    async def trim(self) -> None:
        """Cuts the oldest entries if the feed takes more of Redis than it may."""
        self._since_trim = 0
        taken = await self._redis.memory_usage(STREAM)
        if taken and taken > self._feed_bytes:
            length = await self._redis.xlen(STREAM)
            keep = int(length * self._feed_bytes * TRIM_TO / taken)
            await self._redis.xtrim(STREAM, maxlen=keep, approximate=True)

    async def _all_there(self, changes: Sequence[Change], answers: list[object]) -> bool:
        """An id that Redis refuses as too small must be one that is there already."""
        for change, answer in zip(changes, answers, strict=True):
            if isinstance(answer, ResponseError) and "equal or smaller" in str(answer):
                if not await has_entry(self._redis, change.id):
                    return False
            elif isinstance(answer, Exception):
                raise answer
        return True

    async def _last_generated(self) -> str:
        try:
            found = await self._redis.xinfo_stream(STREAM)
        except ResponseError:  # no such key
            return "0-0"
        generated = found["last-generated-id"]
        return generated.decode() if isinstance(generated, bytes) else str(generated)
