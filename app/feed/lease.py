"""One active recorder for each feed: whoever holds the lease."""

import secrets
import time

from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable
from app.feed.stream import feed_errors

LEASE_KEY = "umbel:lease"
LEASE_SECONDS = 4.0
"""A recorder that died is replaced within this and one try of a standby: below 5 s."""
RENEW_SECONDS = 1.0
"""Three renewals may fail before the lease is lost."""
MARGIN_SECONDS = 0.5
"""We stop this long before Redis would let another in: clocks and answers take their time."""

_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end
if holder then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Lease:
    """The right to write task truth. `held` is by our own clock, without asking anybody.

    `lost`: another has it. Not held and not lost: Redis is away, and nobody knows.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._token = secrets.token_hex(8)
        self._until = 0.0
        self.lost = False

    @property
    def held(self) -> bool:
        """Whether nobody else can hold it now."""
        return time.monotonic() < self._until

    async def take(self) -> bool:
        """Takes or renews it: False if another holds it. Raises FeedUnavailable."""
        asked = time.monotonic()
        async with feed_errors():
            taken = await self._redis.eval(
                _RENEW, 1, LEASE_KEY, self._token, str(int(LEASE_SECONDS * 1000))
            )
        self._until = asked + LEASE_SECONDS - MARGIN_SECONDS if taken else 0.0
        self.lost = not taken
        return bool(taken)

    async def release(self) -> None:
        """Gives it up, so that a standby need not wait."""
        self._until = 0.0
        try:
            async with feed_errors():
                await self._redis.eval(_RELEASE, 1, LEASE_KEY, self._token)
        except FeedUnavailable:
            return  # it runs out by itself
