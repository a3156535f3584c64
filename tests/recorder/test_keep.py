"""The right to write: claimed by whoever was elected, and lost at the first word of another."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.broker.transport import Transport
from app.domain.events import TaskSent
from app.feed.changes import Change
from app.feed.lease import LEASE_KEY, Lease
from app.feed.stream import STREAM, connect_feed
from app.feed.writer import Feed
from app.recorder import keep
from app.recorder.announce import Announcer, pack
from app.recorder.believe import Beliefs
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.pipeline import Pipeline
from app.recorder.receive import Backlog
from app.store import fence, tasks
from app.store.database import Database
from app.store.retention import prune
from app.store.writer import Batch


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_feed(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def keeper(redis: Redis, tmp_path: Path) -> AsyncIterator[Keeper]:
    db = Database.open(tmp_path)
    keeper = Keeper(db, Lease(redis, "old"))
    await keeper.claim("old")
    yield keeper
    keeper.close()
    db.close()


def another_claims(keeper: Keeper, tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    fence.claim(db, "new")
    db.close()


async def test_whatever_is_written_after_another_claimed_ends_all_writing(
    keeper: Keeper, tmp_path: Path
) -> None:
    assert keeper.token == 1
    waiting = asyncio.create_task(keeper.until_lost())
    another_claims(keeper, tmp_path)
    with pytest.raises(LeaseLost, match="new"):
        await keeper.insist(prune, keeper.db, time.time(), 10)
    with pytest.raises(LeaseLost):
        await waiting
    with pytest.raises(LeaseLost):
        await keeper.insist(tasks.get, keeper.db, "t1")


async def test_a_tick_of_one_that_was_superseded_is_not_taken_for_a_strange_value(
    keeper: Keeper, redis: Redis, tmp_path: Path
) -> None:
    figures = Figures()
    announcer = Announcer(Feed(redis), keeper)
    await announcer.open()
    transport = Transport.from_options("redis://127.0.0.1:1/0")
    fleet = Fleet([], [])
    pipeline = Pipeline(transport, Backlog(), Beliefs(), fleet, keeper, announcer, figures)
    another_claims(keeper, tmp_path)
    pipeline.tell([TaskSent(task_id="t1", at=5.0, heard_at=5.0, name="app.work")])
    with pytest.raises(LeaseLost):
        await pipeline.tick()
    assert not figures.malformed
    assert await redis.xlen(STREAM) == 0


async def test_what_another_lease_forbids_to_announce_stays_in_the_outbox(
    keeper: Keeper, redis: Redis
) -> None:
    lease = Lease(redis, "old")
    announcer = Announcer(Feed(redis, holder=lease.holder), keeper)
    await announcer.open()
    changes = [Change(feed_id, "stats", b"{}") for feed_id in announcer.feed.give_ids(2)]
    await keeper.keep(Batch(announcement=pack(changes, ())))
    await redis.set(LEASE_KEY, "new|token")
    announcer.add(changes)
    with pytest.raises(LeaseLost):
        await announcer.run()
    assert keeper.lost
    assert await redis.xlen(STREAM) == 0

    successor = Keeper(keeper.db, Lease(redis, "new"))
    next_one = Announcer(Feed(redis, holder="new|token"), successor)
    await next_one.open()
    running = asyncio.create_task(next_one.run())
    await asyncio.wait_for(next_one.flush(), 10)
    running.cancel()
    successor.close()
    assert [entry[0].decode() for entry in await redis.xrange(STREAM)] == [
        change.id for change in changes
    ]


async def test_a_claim_made_after_the_lease_was_lost_is_given_back_at_once(
    redis: Redis, tmp_path: Path
) -> None:
    """It was paused between being elected and claiming, and another was elected meanwhile."""
    db = Database.open(tmp_path)
    paused = Keeper(db, Lease(redis, "paused"))
    await redis.set(LEASE_KEY, "another|token")
    with pytest.raises(LeaseLost):
        await paused.claim("paused")
    with pytest.raises(LeaseLost):
        await paused.keep(Batch())
    paused.close()
    db.close()


async def test_a_lease_that_redis_can_not_tell_of_is_not_lost(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "RENEW_SECONDS", 0.01)
    await redis.rename(LEASE_KEY, "elsewhere")
    await redis.lpush(LEASE_KEY, "of another type, so that each question fails")
    renewing = asyncio.create_task(keeper.renew())
    await asyncio.sleep(0.2)
    await keeper.keep(Batch())
    assert not keeper.lost
    await redis.delete(LEASE_KEY)
    await redis.set(LEASE_KEY, "another|token")
    await asyncio.wait_for(renewing, 10)
    assert keeper.lost
