"""One active recorder for each feed: whoever holds the lease.

It elects, and is fast; what makes a second writer impossible is the store's fence, which the
one elected claims. A lease alone could not: a process may be paused between looking at it and
writing, and a Redis that restarts empty has forgotten it.
"""

import asyncio
import secrets

from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable
from app.feed.stream import feed_errors

LEASE_KEY = "umbel:lease"
LEASE_SECONDS = 3.5
"""A recorder that died is replaced when this has run out, which leaves more than a second of
the five that a takeover may take for opening the store and listening."""
RENEW_SECONDS = 0.7
"""Four renewals may fail at once, or one may go without an answer, before the lease is lost."""
RELEASE_SECONDS = 0.5
"""Patience when stopping with a Redis that does not answer: the lease then runs out by itself."""

_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -math.max(redis.call('PTTL', KEYS[1]), 1) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Takes or renews it; otherwise minus the milliseconds until it is free."""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Lease:
    """The right to be the active recorder. `holder` says in Redis who has it.

    `lost`: another has it. Where Redis is away nobody knows, and `lost` stays as it was.
    `free_in` is when to try again, in seconds: after the last `take` that found another.
    """

    def __init__(self, redis: "Redis", name: str = "") -> None:
        self._redis = redis
        # A name can come again, as in a container that is started anew.
        self.holder = f"{name}|{secrets.token_hex(8)}"
        self.lost = False
        self.free_in = 0.0

    async def take(self) -> bool:
        """Takes or renews it: False if another holds it. Raises FeedUnavailable."""
        async with feed_errors():
            answer = await self._redis.eval(
                _TAKE, 1, LEASE_KEY, self.holder, str(int(LEASE_SECONDS * 1000))
            )
        self.lost = answer < 0
        self.free_in = max(0, -answer) / 1000
        return not self.lost

    async def release(self) -> bool:
        """Gives it up, so that a standby need not wait; whether it was ours to give."""
        try:
            async with feed_errors(), asyncio.timeout(RELEASE_SECONDS):
                return bool(await self._redis.eval(_RELEASE, 1, LEASE_KEY, self.holder))
        except FeedUnavailable:
            return False


def name_of(holder: str) -> str:
    """The name of the recorder that holds a lease."""
    return holder.rpartition("|")[0]
