"""How long readers and the recorder wait while a day of old tasks is deleted beside them.

`BENCH_DELETED` says how many tasks (1,000,000), `BENCH_TASKS` of how many (10,000,000),
`BENCH_DATABASE` of which database alone.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx
import redis.asyncio
from sqlalchemy import select

from app.domain.tasks import seq_of
from app.feed.stream import STREAM
from app.store.database import Database
from app.store.schema import tasks
from benchmarks import believable, history, stack, storm
from benchmarks.history import History
from benchmarks.recording import Message
from benchmarks.report import Figure, Result, Target

RATE = 2_000
"""Events a second that are recorded meanwhile."""
READERS = 2
"""Clients that ask for one list after another."""
SETTLE_SECONDS = 8.0
"""After the start, until both are measured."""
DELETING_SECONDS = 3_600.0
"""Until a deletion counts as failed."""
ASKED = (
    "/tasks?limit=50",
    f"/tasks?limit=50&name={believable.NAMES[3]}",
    "/tasks?limit=50&state=FAILURE",
    f"/tasks?limit=50&queue={believable.QUEUES[0]}&state=SUCCESS",
    f"/tasks?limit=50&q={believable.UNCOMMON}",
    "/tasks?limit=50&sort=created",
)
MUST, AIM = 100.0, 20.0
"""Milliseconds that the longest wait of anybody is longer."""


@dataclass
class Waits:
    """Milliseconds: of each answer to a reader, and between two announcements of the recorder."""

    answers: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Deletion:
    """One run: what was waited before and meanwhile, how long it took, how the files grew."""

    before: Waits
    meanwhile: Waits
    tasks: int
    seconds: float
    grown: float


async def run(folder: Path, rounds: int) -> Result:
    """Each database as often as there are rounds, each time on a new copy."""
    messages = await storm.record(folder)
    found: dict[str, list[Deletion]] = {name: [] for name in history.databases()}
    for database, deletions in found.items():
        for number in range(rounds):
            inside = folder / f"{database}-{number}"
            inside.mkdir()
            with history.copied(database, spent=True) as store:
                deletions.append(await _delete(inside, store, messages))
            _say(database, deletions[-1])
    return Result(
        "Deleting what is old, beside readers and the recorder",
        f"{history.size():,} tasks in the store, {_wanted():,} of them too old; {RATE:,} events a "
        f"second are recorded and {READERS} clients ask for lists without pause, before and "
        "meanwhile. A wait is an answer's time, or the time between two announcements. There is no "
        "peer: Flower keeps 10,000 tasks, in memory.",
        [figure for database, runs in found.items() for figure in _figures(database, runs)],
        [target for database, runs in found.items() for target in _targets(database, runs)],
    )


def _wanted() -> int:
    return min(int(os.environ.get("BENCH_DELETED", 1_000_000)), history.size() // 2)


async def _delete(folder: Path, store: History, messages: list[Message]) -> Deletion:
    wanted = _wanted()
    cut = store.began_at + believable.DAYS * 86_400 * wanted / store.tasks
    more = {
        "UMBEL_DATABASE_URL": store.url,
        "UMBEL_RETENTION": f"{int(time.time() - cut)}s",
    }
    with (
        stack.redis(folder) as server,
        stack.umbel(folder, server.url, "serve", more=more) as (
            _,
            url,
        ),
    ):
        await stack.until(lambda: stack.answers(url), "it serves")
        with (
            _watching(url, server.url) as waits,
            storm.blowing(server.port, messages, RATE, durable=False),
        ):
            return await _measure(store, waits, cut, wanted)


async def _measure(store: History, waits: Waits, cut: float, wanted: int) -> Deletion:
    db = Database.at(store.url)
    oldest = await asyncio.to_thread(_oldest, db)
    size = _size(store.folder)
    await asyncio.sleep(SETTLE_SECONDS)
    waits.answers.clear()
    waits.ticks.clear()
    await _until(lambda: _oldest(db) > oldest, 0.1)
    before = Waits(list(waits.answers), list(waits.ticks))
    waits.answers.clear()
    waits.ticks.clear()
    began = time.monotonic()
    await _until(lambda: _oldest(db) >= seq_of(cut), 1.0)
    seconds = time.monotonic() - began
    meanwhile = Waits(list(waits.answers), list(waits.ticks))
    db.close()
    return Deletion(before, meanwhile, wanted, seconds, _size(store.folder) - size)


async def _until(ask: Callable[[], bool], every: float) -> None:
    async with asyncio.timeout(DELETING_SECONDS):
        while not await asyncio.to_thread(ask):  # noqa: ASYNC110 - of a store, which tells nobody
            await asyncio.sleep(every)


def _oldest(db: Database) -> int:
    with db.reading() as connection:
        return connection.scalar(select(tasks.c.seq).order_by(tasks.c.seq).limit(1)) or 0


def _size(folder: Path) -> float:
    """MiB, without what both databases keep for recovery."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    counted = [path for path in files if "pg_wal" not in path.parts and path.suffix != ".db-wal"]
    return sum(path.stat().st_size for path in counted) / 2**20


@contextmanager
def _watching(url: str, redis_url: str) -> Iterator[Waits]:
    waits = Waits()
    watching = [asyncio.create_task(_read(url, waits, start)) for start in range(READERS)]
    watching.append(asyncio.create_task(_listen(redis_url, waits)))
    try:
        yield waits
    finally:
        for task in watching:
            task.cancel()


async def _read(url: str, waits: Waits, start: int) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=60.0) as client:
        for path in cycle((*ASKED[start:], *ASKED[:start])):
            began = time.perf_counter()
            (await client.get(path)).raise_for_status()
            waits.answers.append((time.perf_counter() - began) * 1000)


async def _listen(redis_url: str, waits: Waits) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    last, at = b"$", 0.0
    while True:
        if not (found := await client.xread({STREAM: last}, block=1000)):
            continue
        now = time.perf_counter()
        if at:
            waits.ticks.append((now - at) * 1000)
        last, at = found[0][1][-1][0], now


def _high(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else max(values, default=0.0)


def _figures(database: str, runs: list[Deletion]) -> list[Figure]:
    def each(what: str, unit: str, values: list[float]) -> Figure:
        return Figure(f"{database}: {what}", unit, values, lower=True)

    return [
        each("answers before, p99", "ms", [_high(run.before.answers) for run in runs]),
        each("answers meanwhile, p99", "ms", [_high(run.meanwhile.answers) for run in runs]),
        each("longest answer before", "ms", [max(run.before.answers) for run in runs]),
        each("longest answer meanwhile", "ms", [max(run.meanwhile.answers) for run in runs]),
        each("longest wait for an announcement before", "ms", [max(r.before.ticks) for r in runs]),
        each("the same meanwhile", "ms", [max(run.meanwhile.ticks) for run in runs]),
        each("deleting", "s", [run.seconds for run in runs]),
        each("files grew by", "MiB", [run.grown for run in runs]),
    ]


def _targets(database: str, runs: list[Deletion]) -> list[Target]:
    longer = {
        "readers": [max(run.meanwhile.answers) - max(run.before.answers) for run in runs],
        "the recorder": [max(run.meanwhile.ticks) - max(run.before.ticks) for run in runs],
    }
    return [
        Target(
            f"{database}: the longest wait of {who} is longer by",
            statistics.median(values),
            "ms",
            at_most=MUST,
            aim=AIM,
        )
        for who, values in longer.items()
    ]


def _say(database: str, found: Deletion) -> None:
    for when, waits in (("before", found.before), ("meanwhile", found.meanwhile)):
        answers, ticks = sorted(waits.answers), sorted(waits.ticks)
        print(
            f"  {database} {when}: answers p50 {statistics.median(answers):.0f}, p99 "
            f"{_high(answers):.0f}, longest {answers[-1]:.0f} ms ({len(answers)}); announcements "
            f"p50 {statistics.median(ticks):.0f}, p99 {_high(ticks):.0f}, longest {ticks[-1]:.0f}"
        )
    pace = found.tasks / found.seconds
    print(
        f"  {found.tasks:,} tasks in {found.seconds:.0f} s ({pace:,.0f}/s), {found.grown:+.0f} MiB"
    )
