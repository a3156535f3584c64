"""From a worker's event to a reader of the event stream, at 500 events a second.

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

import httpx
import redis.asyncio
from httpx_sse import aconnect_sse

from benchmarks import stack
from benchmarks.report import Figure, Result, Target

RATE = 500
"""Events a second."""
SECONDS = 15
P50, P99 = 0.100, 0.300
"""Seconds: what is aimed at."""
STORY = ("task-sent", "task-received", "task-started", "task-succeeded")
RANK = {"PENDING": 0, "RECEIVED": 1, "STARTED": 2, "SUCCESS": 3}
STEP = 0.02
"""Seconds between two events of one task: about what a real small task takes."""


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
    """Every round is 7,500 events on a fresh store."""
    p50, p99, lost = [], [], 0
    for number in range(rounds):
        inside = folder / str(number)
        inside.mkdir()
        clocked = await _round(inside)
        cuts = statistics.quantiles(clocked.taken, n=100)
        p50.append(cuts[49] * 1000)
        p99.append(cuts[98] * 1000)
        lost += len(clocked.published)
        print(f"  p50 {p50[-1]:.0f} ms, p99 {p99[-1]:.0f} ms, not seen {len(clocked.published)}")
    return Result(
        f"Worker event to SSE client at {RATE} events a second",
        f"{RATE * SECONDS:,} events of {RATE * SECONDS // len(STORY):,} tasks published over "
        f"{SECONDS} s; an event counts as seen when the client has read a frame that shows its "
        "state or a later one of that task (changes within a tick are conflated).",
        [
            Figure("p50", "ms", p50, lower=True),
            Figure("p99", "ms", p99, lower=True),
            Figure("events never shown", "events", [float(lost)], lower=True),
        ],
        [
            Target("p50", statistics.median(p50), "ms", at_most=P50 * 1000),
            Target("p99", statistics.median(p99), "ms", at_most=P99 * 1000),
        ],
    )


async def _round(folder: Path) -> Clocked:
    clocked = Clocked()
    with stack.redis(folder) as server, stack.umbel(folder, server.url, "serve") as (_, url):
        await stack.until(lambda: stack.answers(url), "events flow")
        reading = asyncio.create_task(_read(url, clocked))
        await asyncio.sleep(1)
        await _publish(server.url, clocked)
        for _ in range(50):
            if not clocked.published:
                break
            await asyncio.sleep(0.1)
        reading.cancel()
    return clocked


async def _read(url: str, clocked: Clocked) -> None:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as client,
        aconnect_sse(client, "GET", f"{url}/events", params={"types": "task"}) as source,
    ):
        async for event in source.aiter_sse():
            if event.event == "task":
                task = json.loads(event.data)
                clocked.seen(task["id"], RANK[task["state"]])


async def _publish(url: str, clocked: Clocked) -> None:
    client = redis.asyncio.Redis.from_url(url)
    began = time.monotonic()
    due: list[tuple[float, str, int]] = []
    for number in range(RATE * SECONDS // len(STORY)):
        start = began + number * len(STORY) / RATE
        task_id = str(uuid.uuid4())
        due += [(start + step * STEP, task_id, step) for step in range(len(STORY))]
    for at, task_id, step in sorted(due):
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        channel, payload = _event(task_id, STORY[step])
        clocked.published[task_id, step] = time.monotonic()
        await client.publish(channel, payload)
    await client.aclose()


def _event(task_id: str, kind: str) -> tuple[str, bytes]:
    common = {"uuid": task_id, "type": kind, "timestamp": time.time(), "pid": 1, "clock": 1}
    event = {**common, "hostname": "worker1@bench", "utcoffset": 0}
    if kind in ("task-sent", "task-received"):
        event |= {"name": "worker.tasks.add", "args": "(2, 3)", "kwargs": "{}", "retries": 0}
        event |= {"eta": None, "expires": None, "root_id": task_id, "parent_id": None}
    if kind == "task-sent":
        event |= {"queue": "celery", "exchange": "", "routing_key": "celery"}
    if kind == "task-succeeded":
        event |= {"result": "5", "runtime": STEP}
    envelope = {
        "body": base64.b64encode(json.dumps([event]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "worker1@bench"},
        "properties": {"body_encoding": "base64", "delivery_tag": str(uuid.uuid4())},
    }
    return "/0.celeryev/task.multi", json.dumps(envelope).encode()
