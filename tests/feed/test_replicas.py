"""Who is there, and who leads: written by each, read by all, gone when silent."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable
from app.feed import replicas
from app.feed.lease import Lease
from app.feed.replicas import (
    REPLICAS_KEY,
    SILENT_SECONDS,
    Replica,
    read_replicas,
    stay_registered,
    this_process,
)
from app.feed.stream import connect_feed
from tests.support import RedisServer, eventually_async


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_feed(redis_url)
    yield client
    await client.aclose()


def replica(name: str, role: str = "recorder") -> Replica:
    return Replica(name=name, role=role, host="h", pid=1, version="1", started_at=5.25)  # type: ignore[arg-type]


async def names(redis: Redis) -> list[str]:
    return [each.name for each in await read_replicas(redis)]


async def test_a_process_is_there_until_it_stops(redis: Redis) -> None:
    own = this_process("web")
    staying = asyncio.create_task(stay_registered(redis, own))

    async def there() -> bool:
        return await names(redis) == [own.name]

    await eventually_async(there)
    [found] = await read_replicas(redis)
    assert (found.role, found.pid, found.version) == ("web", own.pid, own.version)
    assert abs(found.started_at - own.started_at) < 0.001
    assert abs(found.at - time.time()) < 60
    assert not found.leads
    staying.cancel()
    await asyncio.wait([staying])
    assert await read_replicas(redis) == []


async def test_whoever_holds_the_lease_leads_and_stands_first(redis: Redis) -> None:
    for each in (replica("a"), replica("b"), replica("c", "web")):
        await replicas._say(redis, each, sweep=True)
    lease = Lease(redis, "b")
    await lease.take()
    found = await read_replicas(redis)
    assert [(each.name, each.leads) for each in found] == [("b", True), ("a", False), ("c", False)]
    await lease.release()
    assert not any(each.leads for each in await read_replicas(redis))


async def entry(redis: Redis, name: str, age: float) -> None:
    seconds, _ = await redis.time()
    text = json.dumps({**json.loads(ENTRY), "name": name, "at": seconds - age})
    await redis.hset(REPLICAS_KEY, name, text)


ENTRY = '{"role": "web", "host": "h", "pid": 1, "version": "1", "started_at": 1.0}'


async def test_one_that_fell_silent_is_not_there_and_is_removed(redis: Redis) -> None:
    await entry(redis, "killed", SILENT_SECONDS + 5)
    await entry(redis, "slow", SILENT_SECONDS - 5)
    assert await names(redis) == ["slow"]
    await replicas._say(redis, replica("a"), sweep=False)
    assert sorted(await redis.hkeys(REPLICAS_KEY)) == [b"a", b"slow"]
    assert 0 < await redis.ttl(REPLICAS_KEY) <= SILENT_SECONDS


async def test_entries_that_nobody_understands_harm_nobody(redis: Redis) -> None:
    strange = (
        "",
        "[",
        "[]",
        "null",
        "5",
        "{}",
        '{"at": "soon"}',
        "\ud800".encode("utf-8", "replace"),
    )
    for number, text in enumerate(strange):
        await redis.hset(REPLICAS_KEY, f"strange{number}", text)
    assert await names(redis) == []
    await replicas._say(redis, replica("a"), sweep=True)
    assert await redis.hkeys(REPLICAS_KEY) == [b"a"]


async def test_no_more_are_kept_than_the_limit(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LIMIT", 3)
    for number in range(5):
        await replicas._say(redis, replica(f"r{number}"), sweep=False)
    await replicas._say(redis, replica("r0"), sweep=False)
    assert await names(redis) == ["r0", "r1", "r2"]


async def test_a_redis_that_is_away_stops_nothing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    client = connect_feed(server.url)
    with pytest.raises(FeedUnavailable):
        await read_replicas(client)
    staying = asyncio.create_task(stay_registered(client, replica("a")))
    server.start()

    async def there() -> bool:
        return await names(client) == ["a"]

    try:
        await eventually_async(there)
        server.stop()
        staying.cancel()
        _, pending = await asyncio.wait([staying], timeout=10)
        assert not pending
    finally:
        await client.aclose()
        server.stop()
