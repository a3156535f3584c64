"""Memory of the recorder while millions of tasks pass through it, and of Flower.

`BENCH_TASKS=10000000 python -m benchmarks memory` is the run over ten million tasks, which takes
an hour or two; without it, 2,000,000.
"""

import asyncio
import json
import os
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import redis.asyncio

from benchmarks import events, recording, stack, storm
from benchmarks.recording import Message
from benchmarks.report import Figure, Result, Target
from tests.support import Process, free_port

TASKS = 2_000_000
"""Unless BENCH_TASKS says otherwise."""
FLOWER_TASKS = 50_000
"""Enough to fill what Flower keeps, 10,000 tasks, and to see it stay there."""
AHEAD = 6
"""Copies of the stream on their way: the recorder is never idle and never far behind."""
SAMPLES = 20
MUST, AIM = 300.0, 150.0
"""MiB."""
MIB = 1 << 20


@dataclass
class Memory:
    """MiB that a process has to itself, each time when another part of the tasks is through."""

    samples: list[float] = field(default_factory=list)

    @property
    def later(self) -> list[float]:
        """After the first quarter, in which caches fill."""
        return self.samples[len(self.samples) // 4 :]

    def growth(self, tasks: int) -> float:
        """MiB a million tasks, by a straight line through the later samples."""
        millions = tasks / SAMPLES / 1_000_000
        places = [place * millions for place in range(len(self.later))]
        return statistics.linear_regression(places, self.later).slope


async def run(folder: Path, rounds: int) -> Result:
    """One run each, whatever `rounds` says: what counts is how long it is."""
    await events.install_flower()
    messages = await storm.record(folder)
    tasks = int(os.environ.get("BENCH_TASKS", TASKS))
    heard = await _recorder(_made(folder / "published"), messages, tasks, durable=False)
    streamed = await _recorder(_made(folder / "streamed"), messages, tasks, durable=True)
    flower = await _flower(_made(folder / "flower"), messages)
    ours = {"Umbel's recorder": heard, "Umbel's recorder, durable stream": streamed}
    greatest = max(max(memory.samples) for memory in ours.values())
    growth = max(memory.growth(tasks) for memory in ours.values())
    return Result(
        f"Memory over {tasks:,} tasks",
        "A recorded stream published again and again, each time with tasks of its own, as fast as "
        f"it is recorded (SQLite); memory of the process's own at {SAMPLES} moments. Flower keeps "
        f"10,000 tasks, the recorder every one; it is measured over {FLOWER_TASKS:,}.",
        [
            *[
                Figure(f"{name}, while it runs", "MiB", memory.samples, lower=True)
                for name, memory in ours.items()
            ],
            Figure("Flower 2.2.0, while it runs", "MiB", flower.samples, lower=True),
        ],
        [
            Target("Umbel's recorder at its greatest", greatest, "MiB", at_most=MUST, aim=AIM),
            Target("Umbel's recorder grows by", growth, "MiB a million tasks", at_most=5.0),
        ],
        {"flower": "2.2.0"},
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _recorder(folder: Path, messages: list[Message], tasks: int, *, durable: bool) -> Memory:
    with stack.redis(folder) as server, stack.umbel(folder, server.url, "record") as (process, _):
        client = redis.asyncio.Redis.from_url(server.url)

        async def seen() -> int:
            found = await client.get("umbel:recorder")
            return int(json.loads(found)["events"]) if found else 0

        await stack.until(lambda: _is_live(client), "the recorder listens")
        say = partial(storm.copy, messages, durable=durable)
        found = await _pass(process, server.port, say, tasks, seen)
        await client.aclose()
        return found


async def _is_live(client: "redis.asyncio.Redis") -> bool:
    found = await client.get("umbel:recorder")
    return bool(found) and bool(json.loads(found)["live"])


async def _flower(folder: Path, messages: list[Message]) -> Memory:
    with stack.redis(folder) as server:
        port = free_port()
        command = [str(events.FLOWER / "bin" / "celery"), f"--broker={server.url}", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}"]
        process = Process(command, folder / "flower.log")
        with stack.running(process):
            url = f"http://127.0.0.1:{port}"
            await stack.until(lambda: stack.answers(url, "/healthcheck"), "Flower answers")
            await stack.until(lambda: events._subscribed(server), "Flower listens")
            say = partial(storm.copy, messages, durable=False)
            seen = partial(events._flower_seen, url)
            return await _pass(process, server.port, say, FLOWER_TASKS, seen)


async def _pass(
    process: Process,
    port: int,
    say: Callable[[int], tuple[list[bytes], int]],
    tasks: int,
    seen: Callable[[], Awaitable[int]],
) -> Memory:
    """Publishes until so many tasks are through, never more than AHEAD copies before them."""
    found = Memory()
    copies = max(SAMPLES, tasks // recording.TASKS)
    told, already = 0, await seen()
    for copy in range(copies):
        commands, count = await asyncio.to_thread(say, told)
        await recording.play(port, commands, 100_000.0)
        told += count

        async def caught_up(told: int = told, count: int = count) -> bool:
            return await seen() - already >= told - AHEAD * count

        await stack.until(caught_up, "what was published is counted", every=0.05)
        if copy * SAMPLES // copies != (copy + 1) * SAMPLES // copies:
            found.samples.append(_own_memory(process.pid))
            print(
                f"  {(copy + 1) * recording.TASKS:,} tasks: {found.samples[-1]:.0f} MiB", flush=True
            )
    return found


def _own_memory(pid: int) -> float:
    """MiB of a process and its children that nobody shares: without programs and mapped files."""
    process = psutil.Process(pid)
    each = (process, *process.children(recursive=True))
    return sum(one.memory_full_info().uss for one in each) / MIB
