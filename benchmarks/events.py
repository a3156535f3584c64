"""Events per CPU-second of the recorder and of Flower, on the same published stream.

Both keep history on disk. Umbel commits each tick; Flower writes all of its state whenever
told to: shown are every 10 s, and once at its end, when a crash would lose everything.
"""

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from time import monotonic

import httpx
import redis.asyncio
from hiredis import pack_command

from benchmarks import recording, stack
from benchmarks.report import Figure, Result, Target
from tests.postgres import PostgresServer
from tests.support import Process, RedisServer, free_port

COPIES = 24
"""Of the recorded stream: some 100,000 events, so that starting up does not count."""
RATE = 5_000
"""Messages a second, of 6,000 to 18,000 events, as the recorded worker has bundled them: a storm,
in which nobody has time to be idle. Both may fall behind, and nothing is lost: the benchmark's
Redis does not cut off slow subscribers."""
TOGETHER = 0.02
"""Seconds of which the worker plugin writes all events in one entry."""
TIMES = {"SQLite": (6.0, 10.0), "durable stream": (8.0, 15.0), "PostgreSQL": (4.0, 8.0)}
"""Events per CPU-second, Umbel's to Flower's: what must be, and what is aimed at."""
LOCKED = Path(__file__).resolve().parent / "requirements-flower.txt"
Stream = list[recording.Message]
Say = Callable[[Stream, int], tuple[list[list[bytes]], int]]
FLOWER = Path(__file__).resolve().parent / ".venvs" / "flower"


@dataclass
class Cost:
    """Processor seconds for a stream, and the events that were seen of it."""

    cpu: float
    events: int

    @property
    def per_second(self) -> float:
        return self.events / self.cpu


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn, so that a noisy moment of the machine meets everybody."""
    await install_flower()
    with stack.redis(folder / "recording") as server:
        (folder / "recording").mkdir(exist_ok=True)
        messages = await recording.record(folder / "recording", server.url)
    with _postgres() as postgres:
        contenders: dict[str, Callable[[Path, Stream], Awaitable[Cost]]] = {
            "Umbel's recorder, SQLite": partial(_umbel, say=recording.again),
            "Umbel's recorder, durable stream": partial(_umbel, say=_streamed),
            "Umbel's recorder, PostgreSQL": partial(_umbel, say=recording.again, postgres=postgres),
            "Flower 2.2.0, saving every 10 s": partial(_flower, save_every=10_000),
            "Flower 2.2.0, saving at its end": partial(_flower, save_every=0),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds):
            for place, (name, contender) in enumerate(contenders.items()):
                inside = folder / f"{number}-{place}"
                inside.mkdir()
                cost = await contender(inside, messages)
                found[name].append(cost.per_second)
                print(f"  {name}: {cost.events:,} events in {cost.cpu:.2f} CPU-s", flush=True)
    return _result(found)


def _result(found: dict[str, list[float]]) -> Result:
    figures = [
        Figure(name, "events per CPU-second", values, peer=name.startswith("Flower"))
        for name, values in found.items()
    ]
    flower = max(figure.median for figure in figures if figure.peer)
    return Result(
        "Events per CPU-second, with history on disk",
        f"A stream of real workers ({recording.TASKS:,} tasks, as recorded in this run) published "
        f"{COPIES} times at {RATE:,} messages a second; processor time of the process and its "
        "children from the first message until everything is counted, what it saves at its end "
        "included, PostgreSQL's own not. The durable stream has the same events, as the worker "
        "plugin writes them.",
        figures,
        [
            Target(f"{name} to the faster Flower", figure.median / flower, "times", must, aim=aim)
            for figure in figures
            for name, (must, aim) in TIMES.items()
            if figure.what.endswith(name)
        ],
        {"flower": "2.2.0"},
    )


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer().start()
    try:
        yield server
    finally:
        server.stop()


def _streamed(messages: Stream, copies: int, number: int = 1) -> tuple[list[list[bytes]], int]:
    """The same as entries of the durable stream: one for all that was said within a moment. The
    producer numbers its events from `number` on."""
    copied, count = recording.again(messages, copies)
    found: list[list[bytes]] = []
    for commands in copied:
        entries = []
        for _, group in groupby(map(_events, commands), key=_moment):
            events = [event for said in group for event in said]
            entries.append(_entry(events, number))
            number += len(events)
        found.append(entries)
    return found, count


def _events(published: bytes) -> list[dict]:  # type: ignore[type-arg]
    envelope = json.loads(published[published.index(b"{") : published.rindex(b"}") + 1])
    body = json.loads(base64.b64decode(envelope["body"]))
    return body if isinstance(body, list) else [body]


def _moment(events: list[dict]) -> int:  # type: ignore[type-arg]
    return int(events[0]["timestamp"] / TOGETHER)


def _entry(events: list[dict], number: int) -> bytes:  # type: ignore[type-arg]
    body = json.dumps(events, separators=(",", ":")).encode()
    fields = [b"p", b"w1@benchmark|1|00000001", b"n", b"%d" % number, b"e", body]
    bounded = [b"XADD", b"umbel:events", b"MAXLEN", b"~", b"1000000", b"*"]
    packed: bytes = pack_command((*bounded, *fields))  # type: ignore[arg-type]
    return packed


async def _umbel(
    folder: Path, messages: Stream, say: Say, postgres: PostgresServer | None = None
) -> Cost:
    kept = {"UMBEL_DATABASE_URL": postgres.url(postgres.make_database())} if postgres else {}
    with ExitStack() as opened:
        server = opened.enter_context(stack.redis(folder))
        process, _ = opened.enter_context(stack.umbel(folder, server.url, "record", more=kept))
        client = redis.asyncio.Redis.from_url(server.url)

        async def seen() -> int:
            found = await client.get("umbel:recorder")
            return int(json.loads(found)["events"]) if found else 0

        async def live() -> bool:
            found = await client.get("umbel:recorder")
            return bool(found) and bool(json.loads(found)["live"])

        await stack.until(live, "the recorder listens")
        cost = await _measure(process, server, messages, seen, say)
        await client.aclose()
        return cost


async def _flower(folder: Path, messages: Stream, save_every: int) -> Cost:
    with stack.redis(folder) as server:
        port = free_port()
        command = [str(FLOWER / "bin" / "celery"), f"--broker={server.url}", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}", "--persistent=True"]
        command += [f"--db={folder / 'flower.db'}", f"--state_save_interval={save_every}"]
        process = Process(command, folder / "flower.log")
        with stack.running(process):
            url = f"http://127.0.0.1:{port}"
            await stack.until(lambda: stack.answers(url, "/healthcheck"), "Flower answers")
            await stack.until(lambda: _subscribed(server), "Flower listens")
            return await _measure(process, server, messages, lambda: _flower_seen(url))


async def _measure(
    process: Process,
    server: RedisServer,
    messages: Stream,
    seen: Callable[[], Awaitable[int]],
    say: Say = recording.again,
) -> Cost:
    copies, count = say(messages, COPIES)
    already = await seen()
    before = stack.cpu_seconds(process.pid)
    commands = [each for copy in copies for each in copy]
    # So many events a second as they were published with.
    rate = RATE * len(commands) / (COPIES * len(messages))
    await recording.play(server.port, commands, rate)

    async def all_seen() -> bool:
        return await seen() - already >= count

    began = monotonic()
    await stack.until(all_seen, f"all of {count} events are counted", every=0.5)
    if (late := monotonic() - began) > 2:
        print(f"  (behind by {late:.1f} s at the end)")
    cpu = stack.cpu_seconds(process.pid) - before
    return Cost(cpu + _saving(process), count)


def _saving(process: Process) -> float:
    """Processor seconds that it takes to stop, which is when Flower writes its state."""
    before = stack.cpu_seconds(process.pid)
    children = os.times()
    process.stop(patience=60)
    after = os.times()
    # What a waited-for child used in all its life, less what it had used before.
    used = after.children_user + after.children_system
    used -= children.children_user + children.children_system
    return max(0.0, used - before)


async def _flower_seen(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        text = (await client.get(f"{url}/metrics")).text
    counts = re.findall(r"^flower_events_total\{[^}]*task=[^}]*\} ([\d.e+]+)$", text, re.MULTILINE)
    return sum(int(float(count)) for count in counts)


async def _subscribed(server: RedisServer) -> bool:
    client = redis.asyncio.Redis.from_url(server.url)
    found = await client.execute_command("PUBSUB", "NUMPAT")
    await client.aclose()
    return int(found) > 0


async def install_flower() -> None:
    """Flower in an environment of its own, for it has other needs than we."""
    if (FLOWER / "bin" / "flower-is-here").exists():
        return
    pip = [str(FLOWER / "bin" / "python"), "-m", "pip"]
    for command in (
        [sys.executable, "-m", "venv", str(FLOWER)],
        [*pip, "install", "-q", "--require-hashes", "-r", str(LOCKED)],
    ):
        process = await asyncio.create_subprocess_exec(*command)
        if await process.wait():
            raise SystemExit("Flower could not be installed; its error stands above.")
    (FLOWER / "bin" / "flower-is-here").touch()
