"""`POST /tasks/add` beside the plain way, and a batch of 10,000, on one server process each."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import redis.asyncio

from benchmarks import stack
from benchmarks.report import Figure, Result, Target
from benchmarks.spent import COSTS, keep, spent_so_far
from tests.support import Process, free_port

CONNECTIONS = 32
SECONDS = 6.0
WARM_UP = 2.0
BATCH = 10_000
BATCHES = 3
"""Each alone: the recorder has kept the tasks of the one before."""
TIMES, AIM_TIMES = 5.0, 8.0
PER_SECOND, AIM_PER_SECOND = 30_000, 60_000
"""What must be and what is aimed at: times the plain way's requests, tasks a second in a batch."""
BODY = '{"x": 2, "y": 3}'


@dataclass(frozen=True)
class Plain:
    """One way to write the plain endpoint."""

    endpoint: str
    sent_events: bool

    @property
    def name(self) -> str:
        events = "with" if self.sent_events else "without"
        return f"plain `{self.endpoint}` endpoint, {events} task-sent events"


@dataclass(frozen=True)
class Batches:
    """Tasks a second of each batch: until it was answered, and until it was in the history."""

    answered: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)


PLAIN = [
    Plain("def", True),
    Plain("def", False),
    Plain("async def", True),
    Plain("async def", False),
]
UMBEL = "Umbel, task-sent events and recorder included"


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn, each contender alone on the machine."""
    rates: dict[str, list[float]] = {name: [] for name in (UMBEL, *(each.name for each in PLAIN))}
    p99: dict[str, list[float]] = {name: [] for name in rates}
    cpu: dict[str, list[float]] = {name: [] for name in rates}
    sending = Batches()
    costs: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in rates:
            inside = folder / f"{number}-{len(rates[name])}-{abs(hash(name))}"
            inside.mkdir()
            found = await _measure(inside, name, sending, costs)
            rates[name].append(found["requests"] / found["seconds"])
            p99[name].append(found["p99"])
            cpu[name].append(found["cpu"] / found["requests"] * 1e6)
            print(f"  {name}: {rates[name][-1]:,.0f}/s, p99 {found['p99']:.1f} ms", flush=True)
    figures = [
        Figure(name, "requests/s", values, peer=name != UMBEL) for name, values in rates.items()
    ]
    figures += [
        Figure(f"{name}: p99", "ms", values, lower=True, peer=name != UMBEL)
        for name, values in p99.items()
    ]
    figures += [
        Figure(f"{name}: processor time", "µs/request", values, lower=True, peer=name != UMBEL)
        for name, values in cpu.items()
    ]
    figures.append(Figure(f"Umbel, batch of {BATCH:,}", "tasks/s", sending.answered))
    figures.append(Figure("Umbel, batch until the recorder has it", "tasks/s", sending.kept))
    figures += [Figure(f"Umbel, {what}", unit, costs[what], lower=True) for what, unit in COSTS]
    fastest = max(statistics.median(rates[each.name]) for each in PLAIN)
    return Result(
        "POST /tasks/add beside FastAPI with add.delay()",
        f"One server process each, the same uvicorn options, {CONNECTIONS} connections for "
        f"{SECONDS:g} s after {WARM_UP:g} s of warming up; no worker takes the tasks meanwhile. "
        "Processor time is of the server process and its children: with Umbel that is the "
        "recorder, which keeps each task, too. Whatever was answered is counted in the queue, "
        f"and with Umbel in the history. A batch is one request of {BATCH:,} tasks by one client, "
        "timed from its first byte to the whole answer, and sent when the recorder has kept what "
        "came before.",
        figures,
        [
            Target(
                "Umbel to the fastest plain way",
                statistics.median(rates[UMBEL]) / fastest,
                "times",
                at_least=TIMES,
                aim=AIM_TIMES,
            ),
            Target(
                "batch",
                statistics.median(sending.answered),
                "tasks/s",
                at_least=PER_SECOND,
                aim=AIM_PER_SECOND,
            ),
        ],
    )


async def _measure(
    folder: Path, name: str, sending: Batches, costs: dict[str, list[float]]
) -> dict[str, float]:
    with stack.redis(folder) as server:
        if name != UMBEL:
            way = next(each for each in PLAIN if each.name == name)
            with _plain(folder, server.url, way) as (process, port):
                return await _load(process, port, server.url)
        with stack.umbel(folder, server.url, "serve") as (process, url):
            await stack.until(lambda: stack.answers(url), "events flow")
            # The worker registers its tasks; it reads a queue that nobody sends to.
            with stack.worker(folder, server.url, "-c", "1", "-Q", "idle"):
                await stack.until(lambda: _knows(url, "worker.tasks.add"), "the catalog has it")
                before = await spent_so_far(process, server.url)
                found = await _load(process, int(url.rpartition(":")[2]), server.url)
                await _settled(server.url)
                spent = await spent_so_far(process, server.url) - before
                keep(costs, "request", spent, found["requests"] + found["warm"])
                sent = int(found["requests"] + found["warm"]) + 1
                await stack.until(lambda: _kept(url, sent), "the recorder has each task")
                for number in range(BATCHES):
                    await _settled(server.url)
                    before = await spent_so_far(process, server.url)
                    began = time.perf_counter()
                    sending.answered.append(await _batch(url, server.url))
                    due = sent + (number + 1) * BATCH
                    await stack.until(partial(_kept, url, due), "the recorder has each task")
                    sending.kept.append(BATCH / (time.perf_counter() - began))
                    await _settled(server.url)
                    spent = await spent_so_far(process, server.url) - before
                    keep(costs, "task of a batch", spent, BATCH)
                return found


@contextmanager
def _plain(folder: Path, broker_url: str, way: Plain) -> Iterator[tuple[Process, int]]:
    port = free_port()
    environment = {
        "UMBEL_BROKER_URL": broker_url,
        "PLAIN_ENDPOINT": "async" if way.endpoint.startswith("async") else "def",
        "PLAIN_SENT_EVENTS": "yes" if way.sent_events else "no",
    }
    # The options that `umbel serve` gives to uvicorn.
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.peers.plain_api:app",
        "--port",
        str(port),
    ]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--ws", "none"]
    with stack.running(Process(command, folder / "plain.log", environment)) as process:
        yield process, port


async def _load(process: Process, port: int, broker_url: str) -> dict[str, float]:
    """What the client measured, and the processor seconds of the server and its children."""
    url = f"http://127.0.0.1:{port}"

    async def sends() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.post(f"{url}/tasks/add", json={"x": 2, "y": 3})).is_success
            except httpx.HTTPError:
                return False

    await stack.until(sends, "the endpoint sends a task")
    warm = await _ask(port, WARM_UP)
    await _empty_queue(broker_url)
    before = stack.cpu_seconds(process.pid)
    found = await _ask(port, SECONDS)
    found["warm"] = warm["requests"]
    found["cpu"] = stack.cpu_seconds(process.pid) - before
    if found["failures"]:
        raise AssertionError(f"{found['failures']:.0f} requests failed")
    await _check_queued(broker_url, int(found["requests"]))
    return found


async def _ask(port: int, seconds: float) -> dict[str, float]:
    command = [
        "-m",
        "benchmarks.load",
        str(port),
        "/tasks/add",
        BODY,
        str(CONNECTIONS),
        str(seconds),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    found: dict[str, float] = json.loads(out)
    return found


async def _batch(url: str, broker_url: str) -> float:
    """Tasks a second, from the request to its answer; and they are in the queue by then."""
    await _empty_queue(broker_url)
    tasks = [{"name": "worker.tasks.add", "args": [number, 3]} for number in range(BATCH)]
    body = json.dumps({"tasks": tasks}).encode()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        began = time.perf_counter()
        answer = await client.post(
            f"{url}/tasks/batch", content=body, headers={"Content-Type": "application/json"}
        )
        taken = time.perf_counter() - began
    answer.raise_for_status()
    await _check_queued(broker_url, len(set(answer.json()["task_ids"])))
    await _check_queued(broker_url, BATCH)
    print(f"  batch: {BATCH / taken:,.0f} tasks/s", flush=True)
    return BATCH / taken


async def _check_queued(broker_url: str, sent: int) -> None:
    client = redis.asyncio.Redis.from_url(broker_url)
    queued = await client.llen("celery")
    await client.aclose()
    if queued != sent:
        raise AssertionError(f"{queued} tasks are queued of {sent} that were answered")


async def _kept(url: str, tasks: int) -> bool:
    """The history has so many."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/tasks", params={"count": "true", "limit": 1})
        return bool(answer.json()["total"]["count"] == tasks)


async def _settled(broker_url: str) -> None:
    """The recorder has nothing left to do."""
    client = redis.asyncio.Redis.from_url(broker_url)
    events = -1

    async def quiet() -> bool:
        nonlocal events
        before, events = events, int(json.loads(await client.get("umbel:recorder"))["events"])
        return before == events

    await stack.until(quiet, "the recorder has caught up", every=1.5)
    await client.aclose()


async def _knows(url: str, name: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/catalog")
        return answer.is_success and name in answer.text


async def _empty_queue(broker_url: str) -> None:
    client = redis.asyncio.Redis.from_url(broker_url)
    await client.delete("celery")
    await client.aclose()
