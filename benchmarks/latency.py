"""From a worker's event to a reader of the event stream, at 1,000 and at 5,000 events a second.

The whole way: PUBLISH, recorder, commit, feed, web process, SSE frame read by a client.
"""

import asyncio
import base64
import json
import statistics
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from hiredis import pack_command

from benchmarks import stack
from benchmarks.report import Figure, Result, Target

RATES = {1_000: (300, 150), 5_000: (600, 350)}
"""Events a second, each a message of its own, and the 99th percentile in milliseconds that must be
and that is aimed at."""
SECONDS = 12
STORY = ("task-sent", "task-received", "task-started", "task-succeeded")
RANK = {"PENDING": 0, "RECEIVED": 1, "STARTED": 2, "SUCCESS": 3}
STEP = 0.02
"""Seconds between two events of one task: about what a real small task takes."""
PACKING = 100e-6
"""Seconds that an event takes to be written down, at most."""
TOGETHER = 0.005
"""Seconds of which events are published in one go, as several workers would."""


class Seen(msgspec.Struct):
    """What is read of a frame."""

    id: str
    state: str


@dataclass
class Clocked:
    """When each event was published, and how long it took to be seen."""

    published: dict[tuple[str, int], float] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)

    def seen(self, task_id: str, rank: int) -> None:
        """A frame shows the task in a state: it and every earlier event of it have arrived."""
        now = time.monotonic()
        for each in range(rank + 1):
            at = self.published.pop((task_id, each), None)
            if at is not None:
                self.taken.append(now - at)


async def run(folder: Path, rounds: int) -> Result:
    """Every round has each rate on a fresh store."""
    figures: dict[str, list[float]] = {}
    lost = 0
    for number in range(rounds):
        for rate in RATES:
            inside = folder / f"{number}-{rate}"
            inside.mkdir()
            clocked, cpu = await _round(inside, rate)
            cuts = statistics.quantiles(clocked.taken, n=100)
            lost += len(clocked.published)
            name = f"{rate:,} events/s"
            figures.setdefault(f"{name}: p50", []).append(cuts[49] * 1000)
            figures.setdefault(f"{name}: p99", []).append(cuts[98] * 1000)
            figures.setdefault(f"{name}: processor", []).append(cpu)
            print(f"  {name}: p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms", end="")
            print(f", {cpu:.0f} % of a core, not seen {len(clocked.published)}", flush=True)
    units = {name: "% of a core" if "processor" in name else "ms" for name in figures}
    return Result(
        "Worker event to SSE client",
        f"Events of small tasks, each a message of its own, published for {SECONDS} s; an event "
        "counts as seen when the client has read a frame that shows its state or a later one of "
        "that task (changes within a tick are conflated). The processor's time is that of "
        "recorder and web process together.",
        [
            *(Figure(name, units[name], rounds, lower=True) for name, rounds in figures.items()),
            Figure("events never shown", "events", [float(lost)], lower=True),
        ],
        [
            Target(
                f"{rate:,} events/s: p99",
                statistics.median(figures[f"{rate:,} events/s: p99"]),
                "ms",
                at_most=must,
                aim=aim,
            )
            for rate, (must, aim) in RATES.items()
        ],
    )


async def _round(folder: Path, rate: int) -> tuple[Clocked, float]:
    clocked = Clocked()
    with stack.redis(folder) as server, stack.umbel(folder, server.url, "serve") as (process, url):
        await stack.until(lambda: stack.answers(url), "events flow")
        reading = asyncio.create_task(_read(url, clocked))
        await asyncio.sleep(1)
        cpu = stack.cpu_seconds(process.pid)
        await publish(server.url, rate, SECONDS, clocked)
        cpu = stack.cpu_seconds(process.pid) - cpu
        for _ in range(50):
            if not clocked.published:
                break
            await asyncio.sleep(0.1)
        reading.cancel()
    return clocked, cpu / SECONDS * 100


async def _read(url: str, clocked: Clocked) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 24)
    writer.write(b"GET /events?types=task HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    decode = msgspec.json.Decoder(Seen).decode
    while line := await reader.readline():
        if line.startswith(b'data: {"id"'):
            task = decode(line[6:])
            clocked.seen(task.id, RANK[task.state])


async def publish(url: str, rate: int, seconds: float, clocked: Clocked) -> None:
    """Small tasks from their sending to their end, so many events a second.

    All is packed before the first is sent, for what follows costs the machine as little as it can.
    """
    due: list[tuple[float, str, int]] = []
    for number in range(int(rate * seconds / len(STORY))):
        task_id = str(uuid.uuid4())
        due += [(number * len(STORY) / rate + step * STEP, task_id, step) for step in range(4)]
    due.sort()
    first = time.time() + len(due) * PACKING
    packed = [
        pack_command((b"PUBLISH", *event(task_id, STORY[step], first + at)))
        for at, task_id, step in due
    ]
    await asyncio.sleep(first - time.time())
    place, done, began = urlsplit(url), 0, time.monotonic()
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    while done < len(due):
        await asyncio.sleep(max(TOGETHER, began + due[done][0] - time.monotonic()))
        sent, now = done, time.monotonic()
        while done < len(due) and began + due[done][0] <= now:
            _, task_id, step = due[done]
            clocked.published[task_id, step] = now
            done += 1
        writer.write(b"".join(packed[sent:done]))
        for _ in range(sent, done):
            await reader.readline()
    writer.close()


def event(task_id: str, kind: str, at: float, **more: object) -> tuple[str, bytes]:
    """A worker's event: its channel and its message."""
    common = {"uuid": task_id, "type": kind, "timestamp": at, "pid": 1, "clock": 1}
    said = {**common, "hostname": "worker1@bench", "utcoffset": 0}
    if kind in ("task-sent", "task-received"):
        said |= {"name": "worker.tasks.add", "args": "(2, 3)", "kwargs": "{}", "retries": 0}
        said |= {"eta": None, "expires": None, "root_id": task_id, "parent_id": None}
    if kind == "task-sent":
        said |= {"queue": "celery", "exchange": "", "routing_key": "celery"}
    if kind == "task-succeeded":
        said |= {"result": "5", "runtime": STEP}
    said |= more
    envelope = {
        "body": base64.b64encode(json.dumps([said]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "worker1@bench"},
        "properties": {"body_encoding": "base64", "delivery_tag": str(uuid.uuid4())},
    }
    return "/0.celeryev/task.multi", json.dumps(envelope).encode()
