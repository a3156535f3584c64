"""The shared event stream with readers that are slow, stuck or far behind, on a real feed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from app.domain.tasks import Task, TaskState, seq_of
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.tail import Tail
from app.feed.writer import Feed
from app.web.health import Part
from app.web.stream import EventStream
from app.web.streams import Streams
from tests.support import eventually_async

RING = 8


class Site:
    """The endpoint over a ring of few changes, without a server."""

    def __init__(self, feed: Feed, tail: Tail, streams: Streams) -> None:
        self.feed, self.tail, self.streams = feed, tail, streams
        self.ids: list[str] = []
        health = SimpleNamespace(recorder=Part(True, time.time()))
        umbel = SimpleNamespace(tail=tail, streams=streams, health=health)
        self.app = SimpleNamespace(state=SimpleNamespace(umbel=umbel))
        self.endpoint = EventStream()

    async def announce(self, count: int) -> None:
        for feed_id in self.feed.give_ids(count):
            task = Task(id=feed_id, seq=seq_of(time.time()), state=TaskState.SUCCESS)
            await self.feed.announce([Change(feed_id, "task", encode_summary(task))])
            self.ids.append(feed_id)
        await eventually_async(self._caught_up)

    async def _caught_up(self) -> bool:
        return self.tail.head == self.ids[-1]


class Client:
    """A reader whose connection can be full: then `send` waits, as uvicorn's does."""

    def __init__(self, site: Site, query: str = "") -> None:
        self.text = b""
        self.flows = asyncio.Event()
        self.flows.set()
        self.left = asyncio.Event()
        scope = {
            "type": "http",
            "path": "/events",
            "query_string": query.encode(),
            "headers": [],
            "app": site.app,
        }
        self.task = asyncio.create_task(site.endpoint(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.flows.wait()
        self.text += message.get("body", b"")

    def ids(self) -> list[str]:
        found = [block for block in self.text.decode().split("\n\n") if "event: task" in block]
        return [block.split("id: ")[1].split("\n")[0] for block in found]

    async def until(self, condition: Callable[[], bool]) -> None:
        async def so() -> bool:
            return condition()

        await eventually_async(so)


@pytest.fixture
async def site(redis_url: str) -> AsyncIterator[Site]:
    client = Redis.from_url(redis_url)
    feed, tail = Feed(client), Tail(redis_url, ring_count=RING)
    await feed.open(None)
    streams = Streams(stalled=0.2)
    found = Site(feed, tail, streams)
    work: list[Awaitable[None]] = [tail.run(), streams.run(tail)]
    tasks = [asyncio.ensure_future(one) for one in work]
    await found.announce(1)
    yield found
    for task in tasks:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)
    await client.aclose()


async def test_a_reader_that_falls_off_the_ring_is_told_to_begin_anew(site: Site) -> None:
    site.streams.stalled = 60
    client = Client(site)
    await client.until(lambda: b"heartbeat" in client.text)
    client.flows.clear()
    await site.announce(3 * RING)
    client.flows.set()
    await client.until(lambda: b"event: reset" in client.text)
    await site.announce(2)
    await client.until(lambda: client.ids()[-2:] == site.ids[-2:])

    reset = client.text.split(b"event: reset")[0].rsplit(b"id: ", 1)[1]
    assert reset.strip().decode() in site.ids
    client.left.set()
    await client.task


async def test_a_reader_far_behind_the_ring_is_sent_all_that_it_missed(site: Site) -> None:
    begin = site.ids[-1]
    await site.announce(5 * RING)
    client = Client(site, f"last_event_id={begin}")
    await client.until(lambda: bool(client.ids()) and client.ids()[-1] == site.ids[-1])
    await site.announce(3)
    await client.until(lambda: client.ids()[-1] == site.ids[-1])

    assert client.ids() == site.ids[1:]
    assert b"reset" not in client.text
    client.left.set()
    await client.task


async def test_a_stuck_reader_is_let_go(site: Site) -> None:
    client = Client(site)
    await client.until(lambda: b"heartbeat" in client.text)
    client.flows.clear()
    await site.announce(1)

    async with asyncio.timeout(30):
        await client.task
    assert site.streams.open == 0


async def test_closing_says_goodbye_to_those_who_read(site: Site) -> None:
    reading, stuck = Client(site), Client(site)
    await reading.until(lambda: b"heartbeat" in reading.text and b"heartbeat" in stuck.text)
    site.streams.stalled = 60
    stuck.flows.clear()
    await site.announce(1)
    site.streams.close()
    async with asyncio.timeout(30):
        await asyncio.gather(reading.task, stuck.task)

    assert reading.text.endswith(b"event: bye\nretry: 1500\ndata: {}\n\n")


async def test_a_stream_cancelled_by_somebody_else_is_cancelled(site: Site) -> None:
    client = Client(site)
    await client.until(lambda: b"heartbeat" in client.text)
    client.task.cancel()
    with suppress(asyncio.CancelledError):
        await client.task

    assert client.task.cancelled()
