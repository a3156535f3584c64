"""The feed in a real Redis: ids, order, size, the tail's resume, and what a gap looks like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable
from app.domain.tasks import Task
from app.feed.changes import Change, Kept, frame_of, id_order, pack_changes, reset, unpack_changes
from app.feed.codec import encode_summary
from app.feed.status import RecorderStatus, last_heard, read_status, write_status
from app.feed.stream import STREAM, connect_feed
from app.feed.tail import Tail
from app.feed.writer import Feed
from tests.support import RedisServer, eventually_async


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_feed(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def feed(redis: Redis) -> Feed:
    feed = Feed(redis)
    await feed.open(None)
    return feed


def changes(feed: Feed, count: int, size: int = 10) -> list[Change]:
    return [Change(feed_id, "stats", b'"%b"' % (b"x" * size)) for feed_id in feed.give_ids(count)]


async def entries(redis: Redis) -> list[str]:
    return [entry[0].decode() for entry in await redis.xrange(STREAM)]


@asynccontextmanager
async def tailing(url: str, **limits: int) -> AsyncIterator[Tail]:
    tail = Tail(url, **limits)
    running = asyncio.create_task(tail.run())

    async def connected() -> bool:
        return tail.connected

    try:
        await eventually_async(connected)
        yield tail
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def reaches(tail: Tail, feed_id: str) -> None:
    async def reached() -> bool:
        return tail.head == feed_id

    await eventually_async(reached)


def test_ids_only_grow_also_when_the_clock_steps_back() -> None:
    feed = Feed(Redis())
    with patch("time.time", side_effect=[100.0, 50.0, 100.001, 99.0]):
        given = [feed_id for _ in range(4) for feed_id in feed.give_ids(2)]
    assert given == sorted(set(given), key=id_order)
    assert given[0] == "100000-0"


async def test_ids_go_on_after_the_feeds_own_and_after_those_of_the_outbox(redis: Redis) -> None:
    await redis.xadd(STREAM, {"k": "stats", "d": "{}"}, id="9999999999999-7")
    feed = Feed(redis)
    await feed.open(None)
    assert feed.give_ids(1) == ["9999999999999-8"]
    await feed.open("9999999999999-20")
    assert feed.give_ids(1) == ["9999999999999-21"]


async def test_ids_go_on_after_a_feed_that_was_trimmed_to_nothing(redis: Redis, feed: Feed) -> None:
    await redis.xadd(STREAM, {"k": "stats", "d": "{}"}, id="9999999999999-7")
    await redis.xtrim(STREAM, maxlen=0, approximate=False)
    await feed.open(None)
    assert feed.give_ids(1) == ["9999999999999-8"]


async def test_changes_announced_twice_are_there_once(redis: Redis, feed: Feed) -> None:
    some = changes(feed, 5)
    assert await feed.announce(some[:3])
    assert await feed.announce(some)
    assert await entries(redis) == [change.id for change in some]


async def test_a_feed_that_lost_what_was_announced_says_so(redis: Redis, feed: Feed) -> None:
    assert await feed.announce(changes(feed, 2))
    await redis.flushall()
    assert not await feed.announce(changes(feed, 1))
    assert await feed.announce(changes(feed, 1))


async def test_an_id_that_came_too_late_is_a_gap(redis: Redis, feed: Feed) -> None:
    late, later = changes(feed, 2)
    assert await feed.announce([later])
    assert not await feed.announce([late])


async def test_the_feed_stays_within_its_bytes(redis: Redis) -> None:
    feed = Feed(redis, feed_bytes=256 * 1024)
    await feed.open(None)
    for _ in range(40):
        await feed.announce(changes(feed, 100, size=500))
        await feed.trim()
    assert 100_000 < await redis.memory_usage(STREAM) < 320 * 1024


async def test_a_redis_that_is_away_is_feed_unavailable(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    client = connect_feed(server.url)
    with pytest.raises(FeedUnavailable):
        await Feed(client).open(None)
    await client.aclose()


async def test_a_tail_gets_every_change_once_and_in_order(redis_url: str, feed: Feed) -> None:
    async with tailing(redis_url) as tail:
        start = tail.position
        sent = [change for _ in range(20) for change in changes(feed, 50)]
        for at in range(0, len(sent), 50):
            await feed.announce(sent[at : at + 50])
        await reaches(tail, sent[-1].id)
        assert [tailed.change for tailed in tail.after(start) or []] == sent
        assert tail.position_of(sent[3].id) == start + 4
        assert tail.after(tail.position) == []


async def test_a_tails_frames_are_server_sent_events(redis_url: str, feed: Feed) -> None:
    async with tailing(redis_url) as tail:
        task = Task(id="t1", args="[1,\n2]")
        [feed_id] = feed.give_ids(1)
        await feed.announce([Change(feed_id, "task", encode_summary(task))])
        await reaches(tail, feed_id)
        [tailed] = tail.after(0) or []
        lines = tailed.frame.decode().split("\n")
        assert lines[0] == f"id: {feed_id}"
        assert lines[1] == "event: task"
        assert lines[2].startswith('data: {"id":"t1"')
        assert lines[3:] == ["", ""]
        assert tailed.task is not None
        assert tailed.task.id == "t1"
        assert tailed.task is tailed.task


async def test_a_stream_resumes_from_redis_what_the_ring_no_longer_has(
    redis_url: str, feed: Feed
) -> None:
    async with tailing(redis_url, ring_count=40) as tail:
        sent = changes(feed, 500)
        await feed.announce(sent)
        await reaches(tail, sent[-1].id)
        assert tail.position_of(sent[0].id) is None
        last, got = sent[0].id, []
        while (position := tail.position_of(last)) is None:
            page = await tail.replay(last, limit=64)
            assert page
            got += page
            last = page[-1].id
        got += [tailed.change for tailed in tail.after(position) or []]
        assert got == sent[1:]


async def test_a_position_that_left_the_ring_is_none(redis_url: str, feed: Feed) -> None:
    async with tailing(redis_url, ring_count=40) as tail:
        start = tail.position
        sent = changes(feed, 100)
        await feed.announce(sent)
        await reaches(tail, sent[-1].id)
        assert tail.after(start) is None
        assert tail.after(tail.position - 1) is not None


async def test_the_ring_stays_within_its_bytes(redis_url: str, feed: Feed) -> None:
    async with tailing(redis_url, ring_bytes=100_000) as tail:
        for _ in range(10):
            sent = changes(feed, 100, size=500)
            await feed.announce(sent)
        await reaches(tail, sent[-1].id)
        kept = [tail.after(start) for start in range(tail.position)]
        assert sum(len(tailed.frame) for tailed in next(x for x in kept if x)) <= 100_000


@pytest.mark.parametrize("feed_id", ["", "x", "1", "-", "1-", "1-x", "5-0", "99999999999999-0"])
async def test_ids_that_were_never_in_the_feed_are_a_gap(
    redis_url: str, feed: Feed, feed_id: str
) -> None:
    await feed.announce(changes(feed, 3))
    async with tailing(redis_url) as tail:
        assert tail.position_of(feed_id) is None
        assert await tail.replay(feed_id) is None


async def test_an_id_that_another_replica_saw_first_is_waited_for(
    redis_url: str, feed: Feed
) -> None:
    async with tailing(redis_url) as tail:
        first, second = changes(feed, 2)
        await feed.announce([first])
        await reaches(tail, first.id)
        await feed.announce([second])
        found = await tail.replay(second.id)
        assert found in ([], None)  # None: it had come by itself in the meantime
        await reaches(tail, second.id)
        assert tail.position_of(second.id)


async def test_an_emptied_feed_is_told_as_reset_and_followed_on(
    redis_url: str, redis: Redis, feed: Feed
) -> None:
    async with tailing(redis_url) as tail:
        sent = changes(feed, 3)
        await feed.announce(sent)
        await reaches(tail, sent[-1].id)
        position = tail.position
        await redis.flushall()
        assert await tail.wait(position, 10)
        assert tail.head is None
        [told] = tail.after(position) or []
        assert told.change.kind == "reset"
        assert tail.position_of(sent[-1].id) is None
        [after] = changes(feed, 1)
        await feed.announce([after])
        await reaches(tail, after.id)
        assert [each.change.id for each in tail.after(position + 1) or []] == [after.id]


async def test_a_tail_survives_a_restart_of_redis(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, durable=True).start()
    client = connect_feed(server.url)
    feed = Feed(client)
    await feed.open(None)
    try:
        async with tailing(server.url) as tail:
            before = changes(feed, 2)
            await feed.announce(before)
            await reaches(tail, before[-1].id)
            since = tail.status_since
            server.stop()

            async def away() -> bool:
                return not tail.connected and bool(tail.reason)

            await eventually_async(away)
            assert tail.status_since > since
            server.start()
            after = changes(feed, 2)
            assert await feed.announce(after)
            await reaches(tail, after[-1].id)
            kinds = [each.change for each in tail.after(0) or []]
            assert kinds == [*before, *after]
            assert tail.connected
    finally:
        await client.aclose()
        server.stop()


async def test_a_wait_ends_with_a_change_or_with_patience(redis_url: str, feed: Feed) -> None:
    async with tailing(redis_url) as tail:
        assert not await tail.wait(tail.position, 0.05)
        waiting = asyncio.create_task(tail.wait(tail.position, 20))
        await feed.announce(changes(feed, 1))
        assert await waiting


async def test_the_recorders_status_is_read_as_it_was_written(redis: Redis) -> None:
    assert await read_status(redis) is None
    assert await last_heard(redis) is None
    status = RecorderStatus(
        recorder="host:1", at=5.5, started_at=1.0, live=True, since=2.0, malformed={"not JSON": 3}
    )
    await write_status(redis, status, listening=True)
    assert await read_status(redis) == status
    assert await last_heard(redis) == 5.5


async def test_a_status_is_looked_at_when_its_change_arrives(
    redis: Redis, redis_url: str, feed: Feed
) -> None:
    with patch("app.feed.tail.LOOK_SECONDS", 3600.0):
        async with tailing(redis_url) as tail:
            status = RecorderStatus(recorder="r", at=1.0, started_at=0.5, live=True, since=0.7)
            await write_status(redis, status, listening=True)
            await feed.announce(changes(feed, 1))

            async def known() -> bool:
                return tail.recorder == status

            await eventually_async(known)


def test_changes_are_kept_whole_and_of_tasks_their_ids() -> None:
    gap = reset("1-1", "a gap")
    some = [Change("1-0", "task", b'{"a":1}'), gap, Change("1-2", "task", b'{"a":2}')]
    kept = [Kept("1-0", "task", "t1"), Kept("1-1", "reset", gap.data), Kept("1-2", "task", "t2")]
    assert unpack_changes(pack_changes(some, ["t1", "t2"])) == kept


def test_a_change_without_an_id_has_a_frame_without_one() -> None:
    assert frame_of(reset("", "gone")) == b'event: reset\ndata: {"reason":"gone"}\n\n'
