"""The lease: one holder at a time, and nobody else announces."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable, Superseded
from app.feed.changes import Change
from app.feed.lease import LEASE_KEY, LEASE_SECONDS, Lease, name_of
from app.feed.stream import STREAM, connect_feed
from app.feed.writer import Feed
from tests.support import RedisServer


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_feed(redis_url)
    yield client
    await client.aclose()


async def test_one_lease_at_a_time(redis: Redis) -> None:
    first, second = Lease(redis, "first"), Lease(redis, "second")
    assert await first.take()
    assert not await second.take()
    assert second.lost
    assert await first.take()
    assert not first.lost
    await first.release()
    assert await second.take()
    await first.release()
    assert await redis.get(LEASE_KEY) == second.holder.encode()


async def test_a_standby_knows_when_the_lease_is_free(redis: Redis) -> None:
    first, second = Lease(redis), Lease(redis)
    await first.take()
    await redis.pexpire(LEASE_KEY, 1500)
    await second.take()
    assert 0 < second.free_in <= 1.5
    await first.take()
    assert 1500 < await redis.pttl(LEASE_KEY) <= LEASE_SECONDS * 1000


async def test_a_lease_that_redis_forgot_belongs_to_whoever_asks_first(redis: Redis) -> None:
    first, second = Lease(redis), Lease(redis)
    await first.take()
    await redis.flushall()
    assert await second.take()
    assert not await first.take()
    assert first.lost


async def test_while_redis_is_away_nobody_has_lost_anything(tmp_path: Path) -> None:
    client = connect_feed(RedisServer(tmp_path).url)
    lease = Lease(client)
    with pytest.raises(FeedUnavailable):
        await lease.take()
    assert not lease.lost
    await lease.release()
    await client.aclose()


def test_a_holder_is_told_apart_from_one_of_the_same_name() -> None:
    first, second = Lease(Redis(), "host|odd:1"), Lease(Redis(), "host|odd:1")
    assert first.holder != second.holder
    assert name_of(first.holder) == name_of(second.holder) == "host|odd:1"


async def test_what_another_lease_forbids_is_not_announced(redis: Redis) -> None:
    old, new = Lease(redis, "old"), Lease(redis, "new")
    feed = Feed(redis, holder=old.holder)
    await feed.open(None)
    await old.take()
    first, second = (Change(feed_id, "stats", b"{}") for feed_id in feed.give_ids(2))
    assert await feed.announce([first])
    await old.release()
    await new.take()
    with pytest.raises(Superseded):
        await feed.announce([second])
    assert await redis.xlen(STREAM) == 1


async def test_what_nobody_forbids_is_announced_once(redis: Redis) -> None:
    """The lease has run out, and nobody else was elected: it is committed all the same."""
    feed = Feed(redis, holder=Lease(redis).holder)
    await feed.open(None)
    change = Change(feed.give_ids(1)[0], "stats", b"{}")
    assert await feed.announce([change])
    successor = Feed(redis, holder=Lease(redis).holder)
    await successor.open(change.id)
    assert await successor.announce([change])
    assert await redis.xlen(STREAM) == 1
