"""A storm that lasts: so many events a second for a minute, on a machine that does all the rest.

Redis, the recorder, the web process with readers of pages, lists and streams, and whoever
publishes share its processors. Nothing may be lost, and nothing may be left behind at the end.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import quantiles

import httpx
import redis.asyncio

from benchmarks import recording, stack
from benchmarks.report import Figure, Result, Target
from tests.support import RedisServer

EVENTS = 20_000
"""A second: what a few hundred busy workers say."""
AIM = 40_000
SECONDS = 60.0
LOOK_EVERY = 0.5
"""Seconds between two looks at a page, at a list, and at what the recorder says of itself."""
LAG = 10.0
"""Seconds that the recorder may be behind at most."""
PAGES = ("/ui/tasks", "/tasks?limit=50", "/stats")


@dataclass
class Seen:
    """What was seen meanwhile. Times in milliseconds."""

    lags: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    frames: int = 0


@dataclass(frozen=True)
class Storm:
    """What became of one: events published and kept, both a second, and what was dropped."""

    rate: float
    lost: int
    late: float
    seen: Seen


async def run(folder: Path, rounds: int) -> Result:
    """Rounds of a minute; another broker and store for each."""
    with stack.redis(folder / "recording") as server:
        (folder / "recording").mkdir(exist_ok=True)
        messages = await recording.record(folder / "recording", server.url)
    commands, count = _storm(messages)
    storms: list[Storm] = []
    for number in range(rounds):
        inside = folder / str(number)
        inside.mkdir()
        storms.append(await _endure(inside, commands, count))
        print(f"  {storms[-1].rate:,.0f} events/s, lost {storms[-1].lost}", flush=True)
    return _result(storms)


def _result(storms: list[Storm]) -> Result:
    figures = [
        Figure("published and kept", "events/s", [each.rate for each in storms]),
        Figure("lost", "events", [float(each.lost) for each in storms], lower=True),
        Figure("behind at most", "s", [max(each.seen.lags) for each in storms], lower=True),
        Figure("kept after the last was published", "s", [e.late for e in storms], lower=True),
        Figure("pages and lists, p95", "ms", [_p95(each.seen.pages) for each in storms], True),
        Figure("frames to the live list", "a second", [e.seen.frames / SECONDS for e in storms]),
    ]
    rate, lost, behind, *_ = figures
    return Result(
        f"{SECONDS:.0f} s of {EVENTS:,} events a second beside everything else",
        f"A recorded stream of real workers, published at {EVENTS:,} events a second for "
        f"{SECONDS:.0f} s to `umbel serve` with SQLite; a reader of {', '.join(PAGES)} every "
        f"{LOOK_EVERY:g} s, one of the live list, Redis and the publisher on the same "
        "processors. Lost is what was published and never counted by the recorder.",
        figures,
        [
            Target("published and kept", rate.median, "events/s", at_least=EVENTS * 0.98, aim=AIM),
            Target("lost", lost.median, "events", at_most=0),
            Target("behind at most", behind.median, "s", at_most=LAG),
        ],
    )


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def _storm(messages: list[recording.Message]) -> tuple[list[bytes], int]:
    """Commands for the whole time, each copy with tasks of its own; how many events."""
    once = sum(len(message.events) for message in messages)
    copies = round(EVENTS * SECONDS / once)
    commands: list[bytes] = []
    for _ in range(copies):
        [copied], _ = recording.again(messages, 1)
        commands += copied
    return commands, copies * once


async def _endure(folder: Path, commands: list[bytes], count: int) -> Storm:
    with stack.redis(folder) as server, stack.umbel(folder, server.url, "serve") as (_, url):
        await stack.until(lambda: stack.answers(url), "it is ready")
        already, _ = await _status(server)
        seen = Seen()
        watchers = [
            asyncio.create_task(watch)
            for watch in (_ask(url, seen), _read(url, seen), _follow(server, seen))
        ]
        began = time.monotonic()
        await recording.play(server.port, commands, EVENTS * len(commands) / count)
        published = time.monotonic()
        kept = await _all_kept(server, already + count)
        ended = time.monotonic()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        lost = already + count - kept
        return Storm(count / (published - began), lost, ended - published, seen)


async def _all_kept(server: RedisServer, wanted: int) -> int:
    """Waits until the recorder has counted so many events, or no more for a while."""
    before, quiet = -1, 0
    while quiet < 10:
        events, _ = await _status(server)
        if events >= wanted:
            return events
        quiet = quiet + 1 if events == before else 0
        before = events
        await asyncio.sleep(0.5)
    return before


async def _status(server: RedisServer) -> tuple[int, float]:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        status = json.loads(await client.get("umbel:recorder"))
    return int(status["events"]), float(status["lag"])


async def _follow(server: RedisServer, seen: Seen) -> None:
    while True:
        _, lag = await _status(server)
        seen.lags.append(lag)
        await asyncio.sleep(LOOK_EVERY)


async def _ask(url: str, seen: Seen) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
        for page in cycle(PAGES):
            began = time.monotonic()
            (await client.get(page)).raise_for_status()
            seen.pages.append((time.monotonic() - began) * 1_000)
            await asyncio.sleep(LOOK_EVERY)


async def _read(url: str, seen: Seen) -> None:
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client,
        client.stream("GET", await _live_view(client)) as stream,
    ):
        async for line in stream.aiter_lines():
            seen.frames += line == ""


async def _live_view(client: httpx.AsyncClient) -> str:
    page = (await client.get("/ui/tasks")).text
    found = re.search(r'data-live="([^"]+)"', page)
    assert found is not None
    return found[1]
