"""What one delivered message costs the server, by the way its event stream is written.

Many readers of one feed: sse-starlette and StreamingResponse with frames encoded once, and
the plain ASGI endpoint of `GET /events`. The reason for docs/decisions/0005-sse.md.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio

from app.domain.tasks import Task, TaskState, seq_of
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.writer import Feed
from benchmarks import stack
from benchmarks.report import Figure, Result, Target
from tests.support import Process, free_port

READERS = 200
RATE = 20
"""Messages a second to each reader, each by itself: the dearest way to deliver them."""
SECONDS = 6.0
SERVER = "benchmarks.peers.sse_server"
PLAIN, PEER = "plain", "sse-starlette"
WAYS = (PEER, "streaming-response", PLAIN)


@dataclass
class Reader(asyncio.Protocol):
    """Counts the events that it is sent."""

    path: str
    events: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET /{self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b"event: task")


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn, each way alone on the machine."""
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    with stack.redis(folder) as server:
        for _ in range(rounds):
            for way in WAYS:
                costs[way].append(await _measure(folder, server.url, way))
                print(f"  {way}: {costs[way][-1]:.1f} µs a message", flush=True)
    medians = {way: statistics.median(values) for way, values in costs.items()}
    return Result(
        "A message of an event stream, by the way its endpoint is written",
        f"{READERS} readers of one feed, {RATE} messages a second of a task's summary to each for "
        f"{SECONDS:g} s; processor time of the server by messages that arrived.",
        [Figure(way, "µs a message", values, lower=True) for way, values in costs.items()],
        [Target(f"{PEER} to {PLAIN}", medians[PEER] / medians[PLAIN], "times", at_least=1.0)],
    )


async def _measure(folder: Path, url: str, way: str) -> float:
    port = free_port()
    log = folder / f"{way}-{port}.log"
    command = [sys.executable, "-m", SERVER, str(port)]
    client = redis.asyncio.Redis.from_url(url)
    feed = Feed(client)
    await feed.open(None)
    await _announce(feed, 0)
    with stack.running(Process(command, log, {"FEED_URL": url})) as server:
        await stack.until(lambda: stack.answers(f"http://127.0.0.1:{port}", "/openapi.json"), way)
        readers = await _connect(port, way, feed)
        cpu, before = stack.cpu_seconds(server.pid), _count(readers)
        await _publish(feed)
        await asyncio.sleep(0.5)
        taken, delivered = stack.cpu_seconds(server.pid) - cpu, _count(readers) - before
        for reader in readers:
            reader.transport.close()
    await client.aclose()
    if delivered != READERS * RATE * SECONDS:
        raise AssertionError(f"{delivered} messages of {READERS * RATE * SECONDS:g} arrived")
    return taken / delivered * 1e6


async def _connect(port: int, way: str, feed: Feed) -> list[Reader]:
    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(READERS):
        _, reader = await loop.create_connection(lambda: Reader(way), "127.0.0.1", port)
        readers.append(reader)
    number = 0

    async def all_listen() -> bool:
        nonlocal number
        await _announce(feed, number := number + 1)
        await asyncio.sleep(0.3)
        return all(reader.events for reader in readers)

    await stack.until(all_listen, "all listen")
    await asyncio.sleep(0.5)
    return readers


async def _publish(feed: Feed) -> None:
    began = time.monotonic()
    for number in range(int(RATE * SECONDS)):
        await _announce(feed, number)
        await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))


async def _announce(feed: Feed, number: int) -> None:
    task = Task(
        id=f"00000000-0000-4000-8000-{number:012d}",
        seq=seq_of(time.time()),
        name="worker.tasks.add",
        state=TaskState.SUCCESS,
        args="[2, 3]",
        kwargs="{}",
        result="5",
        sent_at=time.time(),
    )
    (feed_id,) = feed.give_ids(1)
    await feed.announce([Change(feed_id, "task", encode_summary(task))])


def _count(readers: list[Reader]) -> int:
    return sum(reader.events for reader in readers)
