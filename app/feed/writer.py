"""The one writer of the feed: ids that only grow, entries in their order, a bounded size."""

import time
from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.domain.errors import Superseded
from app.feed.changes import Change, id_order
from app.feed.lease import LEASE_KEY
from app.feed.stream import STREAM, feed_errors, newest_entry

FEED_BYTES = 32 * 1024 * 1024
"""What the feed may take of Redis: some 30,000 changes, hours of an ordinary day."""
TRIM_EVERY = 1024 * 1024
"""Bytes announced between two looks at the feed's size."""
TRIM_TO = 0.9
"""Cut a little below the bound, so that not every look cuts."""
AT_ONCE = 500
"""Changes added in one script: Redis serves nobody else for about a millisecond."""

_ADD = """
if ARGV[3] ~= '' then
  local holder = redis.call('GET', KEYS[2])
  if holder and holder ~= ARGV[3] then return -1 end
end
local whole = 1
if ARGV[1] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  whole = 0
end
for _, change in ipairs(cmsgpack.unpack(ARGV[2])) do
  local added = redis.pcall('XADD', KEYS[1], change[1], 'k', change[2], 'd', change[3])
  if type(added) == 'table' and added.err then
    if not string.find(added.err, 'equal or smaller', 1, true) then
      return redis.error_reply(added.err)
    end
    if #redis.call('XRANGE', KEYS[1], change[1], change[1]) == 0 then
      whole = 0
    end
  end
end
return whole
"""
"""Adds entries that are not there yet; 0 if the last one announced is gone, or if an id that
Redis refuses as too small isn't there; -1, and nothing is added, if another holds the lease.
Where nobody holds it adding is harmless: what is announced is committed, so whoever has claimed
the store since has it in the outbox, under the same ids. One script costs a fifth of as many
commands, and its changes as one argument a fifth of as many arguments, which redis-py looks at
one by one."""


class Feed:
    """Announces changes under ids that are given before they are announced.

    A change gets its id when it is committed, and is announced under it afterwards, maybe
    by another process after a crash: an id that the feed has already is not announced twice.
    `holder` is who must not be another's lease; "" announces whoever has it.
    """

    def __init__(self, redis: "Redis", *, holder: str = "", feed_bytes: int = FEED_BYTES) -> None:
        self._redis = redis
        self._holder = holder
        self._feed_bytes = feed_bytes
        self._last = (0, 0)
        self._announced = ""
        self._add = redis.register_script(_ADD)
        self._since_trim = 0

    async def open(self, last_given: str | None) -> None:
        """Finds where ids go on: after the feed's own last and `last_given`, the store's."""
        async with feed_errors():
            newest = await newest_entry(self._redis)
            generated = await self._last_generated()
        self._announced = "" if newest is None else newest.id
        known = [generated, last_given] if last_given else [generated]
        self._last = max([self._last, *map(id_order, known)])

    async def present(self, feed_ids: Sequence[str]) -> set[str]:
        """Which of these changes stand in the feed, and so those that were given ids before them:
        asked at once, for thousands can wait after an outage. Raises FeedUnavailable."""
        async with feed_errors(), self._redis.pipeline(transaction=False) as asked:
            for feed_id in feed_ids:
                asked.xrange(STREAM, feed_id, feed_id)
            found = await asked.execute()
        return {feed_id for feed_id, there in zip(feed_ids, found, strict=True) if there}

    def give_ids(self, count: int) -> list[str]:
        """The next ids: the time in milliseconds, or the last one's where clocks step back."""
        now = int(time.time() * 1000)
        last_ms, last_seq = self._last
        ms, seq = (now, 0) if now > last_ms else (last_ms, last_seq + 1)
        self._last = (ms, seq + count - 1)
        return [f"{ms}-{seq + step}" for step in range(count)]

    async def announce(self, changes: Sequence[Change]) -> bool:
        """Adds the changes in order. False: what was announced before is gone, so that readers
        have to be told `reset`. Raises FeedUnavailable; then announce the same again. Raises
        Superseded where another recorder holds the lease.
        """
        whole = True
        for start in range(0, len(changes), AT_ONCE):
            part = changes[start : start + AT_ONCE]
            # As text, since Redis's msgpack knows no bytes: to Lua they are the same.
            texts = [(id, kind, data.decode("utf-8", "replace")) for id, kind, data in part]
            packed = msgspec.msgpack.encode(texts)
            known: list[str | bytes] = [self._announced, packed, self._holder]
            async with feed_errors():
                answer = await self._add(keys=[STREAM, LEASE_KEY], args=known)
            if answer < 0:
                raise Superseded("Another recorder holds the lease and announces now.")
            whole &= bool(answer)
            self._announced = part[-1].id
            self._since_trim += sum([len(change.data) for change in part])
        if self._since_trim >= TRIM_EVERY:
            async with feed_errors():
                await self.trim()
        return whole

    async def trim(self) -> None:
        """Cuts the oldest entries if the feed takes more of Redis than it may."""
        self._since_trim = 0
        taken = await self._redis.memory_usage(STREAM)
        if taken and taken > self._feed_bytes:
            length = await self._redis.xlen(STREAM)
            keep = int(length * self._feed_bytes * TRIM_TO / taken)
            await self._redis.xtrim(STREAM, maxlen=keep, approximate=True)

    async def _last_generated(self) -> str:
        try:
            found = await self._redis.xinfo_stream(STREAM)
        except ResponseError:  # no such key
            return "0-0"
        generated = found["last-generated-id"]
        return generated.decode() if isinstance(generated, bytes) else str(generated)
