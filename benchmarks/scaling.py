"""How the recorder's cost grows with events, workers and databases; and viewers with replicas."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic

import psutil
import redis.asyncio

from benchmarks import recording, simulated, stack
from benchmarks.report import Figure, Result, Target
from tests.postgres import PostgresServer
from tests.support import Process, RedisServer

SECONDS = 4
"""Of each stream."""
RATE = 4_000
"""Events a second, where something else is varied."""
VIEWERS = 600
"""Of all replicas together, each with the whole stream of changes."""
VIEWED = 200
"""Events a second while they look."""
GROWTH = 3.0
"""Times the cost of an event that 1,000 workers may be of one: their heartbeats are counted."""
SHARED = 3.0
"""Times the processor time of one web process that three with as many viewers together may take:
each reads the feed for itself, and what it sends is divided."""


@dataclass(frozen=True)
class Plan:
    """One point of the figure."""

    rate: int = RATE
    workers: int = 1
    stream: bool = False
    postgres: bool = False

    def __str__(self) -> str:
        mouth = "stream" if self.stream else "published"
        store = "PostgreSQL" if self.postgres else "SQLite"
        workers = f"{self.workers:,} worker" + "s" * (self.workers > 1)
        return f"{mouth}, {store}, {self.rate:,} events/s of {workers}"


@dataclass(frozen=True)
class Cost:
    """Of one event: microseconds of the recorder, of Redis and of PostgreSQL; bytes kept a task."""

    recorder: float
    redis: float
    server: float
    disk: float


ONE, THOUSAND = Plan(), Plan(workers=1_000)
PLANS = (
    Plan(rate=500),
    ONE,
    Plan(rate=10_000),
    Plan(workers=10),
    Plan(workers=100),
    THOUSAND,
    Plan(stream=True),
    Plan(stream=True, workers=1_000),
    Plan(postgres=True),
    Plan(stream=True, postgres=True),
)
REPLICAS = (1, 2, 3)


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn over all plans, each with a Redis and a store of its own."""
    costs: dict[Plan, list[Cost]] = {plan: [] for plan in PLANS}
    views: dict[int, list[float]] = {count: [] for count in REPLICAS}
    for number in range(rounds):
        for place, plan in enumerate(PLANS):
            cost = await _recorded(folder / f"{number}-{place}", plan)
            costs[plan].append(cost)
            print(f"  {plan}: {cost}", flush=True)
        for count in REPLICAS:
            views[count].append(await _viewed(folder / f"{number}-v{count}", count))
            print(f"  {count} replicas: {views[count][-1]:.1f} % of a core", flush=True)
    return _result(costs, views)


def _result(costs: dict[Plan, list[Cost]], views: dict[int, list[float]]) -> Result:
    growth = _median(costs[THOUSAND]) / _median(costs[ONE])
    shared = median(views[REPLICAS[-1]]) / median(views[1])
    return Result(
        "How cost grows with events, workers and replicas",
        f"Streams of {SECONDS} s, four events a task, and a heartbeat of each simulated worker "
        f"every {simulated.HEARTBEAT_SECONDS:g} s; processor time for each event of a task, with "
        "all that is heard beside it. The workers do not answer when asked. "
        f"{VIEWERS:,} viewers of all that changes at {VIEWED} events/s, spread over the "
        "replicas; processor time of all web processes together.",
        [*_figures(costs), *_viewing(views)],
        [
            Target("1,000 workers to 1, µs/event", growth, "times", at_most=GROWTH),
            Target("3 replicas to 1 with as many viewers", shared, "times", at_most=SHARED),
        ],
    )


def _figures(costs: dict[Plan, list[Cost]]) -> Iterator[Figure]:
    for plan, found in costs.items():
        yield Figure(str(plan), "µs/event", [each.recorder for each in found], lower=True)
    for plan in (ONE, Plan(stream=True)):
        beside = [each.redis for each in costs[plan]]
        yield Figure(f"Redis: {plan}", "µs/event", beside, lower=True, peer=True)
    for plan in (each for each in PLANS if each.postgres):
        beside = [each.server for each in costs[plan]]
        yield Figure(f"server: {plan}", "µs/event", beside, lower=True, peer=True)
    for plan in (ONE, Plan(postgres=True)):
        kept = [each.disk for each in costs[plan]]
        yield Figure("PostgreSQL" if plan.postgres else "SQLite", "bytes/task", kept, lower=True)


def _viewing(views: dict[int, list[float]]) -> Iterator[Figure]:
    for count, found in views.items():
        each = [percent * 1_000 / VIEWERS for percent in found]
        replicas = f"{count} replica" + "s" * (count > 1)
        yield Figure(replicas, "% of a core for 1,000 viewers", each, lower=True)


def _median(costs: list[Cost]) -> float:
    return median(each.recorder for each in costs)


async def _recorded(folder: Path, plan: Plan) -> Cost:
    with ExitStack() as opened:
        server = opened.enter_context(stack.redis(folder))
        postgres = opened.enter_context(_postgres()) if plan.postgres else None
        url = {"UMBEL_DATABASE_URL": postgres.url()} if postgres else {}
        running = stack.umbel(folder, server.url, "record", more=url)
        process, _ = opened.enter_context(running)
        client = redis.asyncio.Redis.from_url(server.url)
        await stack.until(partial(_status, client, _is_live), "the recorder listens")
        measured = [process, server.process, postgres.process if postgres else None]
        before, empty = [_cpu(each) for each in measured], postgres.size() if postgres else 0
        tasks = plan.rate * SECONDS // len(simulated.KINDS)
        await _say(server, client, plan, tasks)
        spent = [_cpu(each) - first for each, first in zip(measured, before, strict=True)]
        process.stop()  # SQLite's log of what is new is in the file then
        disk = (postgres.size() if postgres else _size(folder / "data")) - empty
        await client.aclose()
        shares = (seconds * 1e6 / (tasks * len(simulated.KINDS)) for seconds in spent)
        return Cost(*shares, disk / tasks)


async def _say(server: RedisServer, client: redis.asyncio.Redis, plan: Plan, tasks: int) -> None:
    """Publishes it all, and returns when all of it is kept."""
    said = simulated.events(tasks, plan.rate, plan.workers)
    commands = (simulated.streamed if plan.stream else simulated.published)(said)
    already = await _heard(client)
    await recording.play(server.port, commands, len(commands) / SECONDS)

    def is_kept(status: dict[str, float]) -> bool:
        return int(status["events"]) - already >= len(said)

    await stack.until(partial(_status, client, is_kept), f"{len(said):,} events are kept")


async def _status(client: redis.asyncio.Redis, holds: Callable[[dict[str, float]], bool]) -> bool:
    found = await client.get("umbel:recorder")
    return bool(found) and holds(json.loads(found))


def _is_live(status: dict[str, float]) -> bool:
    return bool(status["live"])


async def _heard(client: redis.asyncio.Redis) -> int:
    return int(json.loads(await client.get("umbel:recorder"))["events"])


def _cpu(process: Process | None) -> float:
    return stack.cpu_seconds(process.pid) if process is not None else 0.0


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class _Server(PostgresServer):
    def size(self) -> int:
        """Bytes of the database."""
        with self.connect() as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(str(row[0]))


@contextmanager
def _postgres() -> Iterator[_Server]:
    server = _Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def _viewed(folder: Path, replicas: int) -> float:
    """Percent of a core that the web processes take together, for all viewers."""
    with ExitStack() as opened:
        server = opened.enter_context(stack.redis(folder))
        sites = [
            opened.enter_context(stack.umbel(folder, server.url, "serve")) for _ in range(replicas)
        ]
        for _, url in sites:
            await stack.until(partial(stack.answers, url), "a replica is ready")
        ports = [int(url.rpartition(":")[2]) for _, url in sites]
        viewers = [asyncio.create_task(_view(ports[n % replicas])) for n in range(VIEWERS)]
        await asyncio.sleep(2.0)  # until all are connected
        webs = [psutil.Process(process.pid) for process, _ in sites]
        before, began = _web_cpu(webs), monotonic()
        said = simulated.events(VIEWED * SECONDS // len(simulated.KINDS), VIEWED, 1)
        await recording.play(server.port, simulated.published(said), len(said) / SECONDS)
        percent = 100 * (_web_cpu(webs) - before) / (monotonic() - began)
        for viewer in viewers:
            viewer.cancel()
        received = await asyncio.gather(*viewers, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in received), received
        return percent


async def _view(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 200 " in await reader.readline()
        while await reader.read(1 << 16):
            pass
        raise AssertionError("a stream ended")
    finally:
        writer.close()


def _web_cpu(webs: list[psutil.Process]) -> float:
    """Without the recorders that they started."""
    return sum(sum(each.cpu_times()[:2]) for each in webs)
