"""The feed's Redis Stream: its key, its entries, and what reads and writes share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.errors import FeedUnavailable
from app.feed.changes import Change, Kind
from app.pool import Pool

STREAM = "umbel:feed"
ANSWER_SECONDS = 3.0
"""A Redis that takes longer to answer counts as away; a blocking read waits less than this."""
KIND, DATA = b"k", b"d"

Entry = tuple[bytes, dict[bytes, bytes]]


def connect_feed(url: str) -> "Redis":
    """A client for the feed's Redis. Connects when first used."""
    pool = Pool.from_url(
        url,
        protocol=2,  # measured: decodes half as costly again as RESP3 in redis-py
        decode_responses=False,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def feed_errors() -> AsyncIterator[None]:
    """Turns what goes wrong between us and Redis into FeedUnavailable."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise FeedUnavailable(
            f"The feed's Redis does not answer: {str(error).rstrip('.')}."
        ) from error


async def read_entries(
    redis: "Redis", first: str, last: str, count: int, *, newest: bool = False
) -> list[Change]:
    """Entries between two ids, both included; the newest first if `newest`."""
    ask = redis.xrevrange if newest else redis.xrange
    ends = (last, first) if newest else (first, last)
    return [change_of(entry) for entry in cast(list[Entry], await ask(STREAM, *ends, count=count))]


async def newest_entry(redis: "Redis") -> Change | None:
    """The last entry of the feed; None where there is none."""
    found = await read_entries(redis, "-", "+", 1, newest=True)
    return found[0] if found else None


async def has_entry(redis: "Redis", feed_id: str) -> bool:
    """The feed still holds that entry, and so all that came after it."""
    return bool(await read_entries(redis, feed_id, feed_id, 1))


def end_if_cancelled() -> None:
    """Raises CancelledError in a task that was cancelled and goes on all the same.

    `asyncio.wait_for`, through which redis-py writes, can swallow a cancellation until
    Python 3.12. A loop that asks Redis for ever has to ask this too.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def change_of(entry: Any) -> Change:
    """An entry as redis-py gives it."""
    feed_id, fields = cast(Entry, entry)
    return Change(feed_id.decode(), cast(Kind, fields[KIND].decode()), fields[DATA])
