"""Connections to a Redis that answer, or say that they can't, within a known time."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.broker.transport import redis_url, safe_url
from app.domain.errors import BrokerUnavailable
from app.pool import Pool

TIMEOUT = 2.0
"""Seconds for connecting and for each answer; people are told within it that Redis is gone."""
MAX_CONNECTIONS = 50
"""Connections of one client; more callers at once wait for nothing, they are told to retry."""


def connect(url: str, *, timeout: float = TIMEOUT) -> Redis:
    """A client of the Redis at `url`: bytes, RESP2, every wait bounded, nothing tried twice.

    It connects when first used. Its errors are redis-py's: wrap its use in `reading`.
    """
    # from_pool: closing the client closes its connections, which Redis(connection_pool=) doesn't.
    pool = Pool.from_url(
        redis_url(url),
        protocol=2,
        max_connections=MAX_CONNECTIONS,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )
    return Redis.from_pool(pool)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Says BrokerUnavailable where Redis fails inside; the address is named without secrets."""
    try:
        yield
    except (RedisError, OSError, EOFError) as error:
        raise BrokerUnavailable(
            f"Redis at {safe_url(url)} does not answer: {_cause(error)}"
        ) from error


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
