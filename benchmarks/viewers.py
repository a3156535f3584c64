"""Thousands of viewers of one process, each sent four frames a second, 50 of them stalled.

Live pages and the shared event stream of Umbel's own web process; beside them, in the same
process and fed by the same ring, sse-starlette and FastAPI's own event streams.
"""

import asyncio
import re
import socket
import statistics
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis.asyncio

from app.domain.tasks import Task, TaskState, seq_of
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.writer import Feed
from benchmarks import stack
from benchmarks.report import Figure, Result, Target
from tests.support import Process, free_port

FRAMES = 4
"""A second."""
ROWS = 5
"""Tasks that change with each frame: 5 KB of a page, 2 KB of the stream."""
SECONDS = 8
STALLED = 50
"""Viewers that never read; their own buffers are small."""
MANY, MORE = 2_000, 4_900
AT_ONCE = 100
"""Viewers that connect at the same time."""
SERVER = "benchmarks.peers.viewers_server"
P99, KILOBYTES = 500.0, 25.0
"""What is aimed at: milliseconds, and KB for each viewer."""
NUMBER = re.compile(rb"frame-(\d{6})")
PAGE, PLAIN_PAGE, STREAM = "live page", "live page, not compressed", "/events"
PEERS = {"sse-starlette": "/peers/sse-starlette"}
"""FastAPI's own, an event a row, does not get as far as everybody's first frame with so many."""


@dataclass
class Feeding:
    """Announces frames, and when each of them was."""

    url: str
    at: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Four a second, from now on."""
        client = redis.asyncio.Redis.from_url(self.url)
        feed = Feed(client)
        await feed.open(None)
        began = time.monotonic()
        for number in range(int(seconds * FRAMES)):
            ids = feed.give_ids(ROWS)
            tasks = [changed_task(row, len(self.at)) for row in range(ROWS)]
            changes = [
                Change(feed_id, "task", encode_summary(task))
                for feed_id, task in zip(ids, tasks, strict=True)
            ]
            self.at.append(time.monotonic())
            await feed.announce(changes)
            await asyncio.sleep(max(0.0, began + (number + 1) / FRAMES - time.monotonic()))
        await client.aclose()


class Viewer(asyncio.Protocol):
    """Reads a stream, and how late each frame of it is."""

    def __init__(self, path: str, packed: bool, feeding: Feeding) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if packed else None
        self._feeding = feeding
        self._rest = b""
        self.late: dict[int, float] = {}
        self.began = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        accepted = "Accept-Encoding: gzip\r\n" if self._unpacker else ""
        transport.write(f"{self._request}{accepted}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if self._unpacker is None:
            text = data
        else:
            text = b"".join(map(self._unpacker.decompress, self._chunks(data)))
        for found in NUMBER.findall(text):
            number = int(found)
            self.late[number] = now - self._feeding.at[number]  # the last row's is what counts
        self.began = self.began or b"data:" in text

    def _chunks(self, data: bytes) -> list[bytes]:
        """Whole chunks of a chunked answer; what is left waits for more."""
        self._rest += data
        found = []
        if not self.began and self._rest.startswith(b"HTTP/"):
            *_, self._rest = self._rest.partition(b"\r\n\r\n")
        while (end := self._rest.find(b"\r\n")) > 0:
            size = int(self._rest[:end], 16)
            if len(self._rest) < end + size + 4:
                break
            found.append(self._rest[end + 2 : end + 2 + size])
            self._rest = self._rest[end + size + 4 :]
        return found


@dataclass
class Measured:
    """One way with so many viewers."""

    p99: float
    kilobytes: float
    cpu: float
    missed: float


async def run(folder: Path, rounds: int) -> Result:
    """Each round has all ways in turn, each with a server of its own."""
    page = "/ui/live/tasks?at=1&first=0" + "".join(f"&id={task_id(row)}" for row in range(ROWS))
    ways = {PAGE: page, PLAIN_PAGE: page, STREAM: "/events", **PEERS}
    plans = [(way, path, MANY) for way, path in ways.items()] + [(PAGE, page, MORE)]
    found: dict[tuple[str, int], list[Measured]] = {(way, count): [] for way, _, count in plans}
    with stack.redis(folder) as server:
        for number in range(rounds):
            for way, path, count in plans:
                inside = folder / f"{number}-{len(found[way, count])}-{count}-{way[:4].strip('/')}"
                inside.mkdir(exist_ok=True)
                each = await _measure(inside, server.url, path, way == PAGE, count)
                found[way, count].append(each)
                print(f"  {way}, {count:,}: {each}", flush=True)
    return _result(found)


def _result(found: dict[tuple[str, int], list[Measured]]) -> Result:
    figures = []
    for (way, count), rounds in found.items():
        name = f"{way}, {count:,} viewers"
        figures += [
            Figure(f"{name}: p99", "ms", [each.p99 for each in rounds], lower=True),
            Figure(f"{name}: memory", "KB each", [each.kilobytes for each in rounds], lower=True),
            Figure(f"{name}: processor", "% of a core", [each.cpu for each in rounds], lower=True),
        ]
    missed = [each.missed for (way, _), rounds in found.items() if way == PAGE for each in rounds]
    figures.append(Figure("live page: frames that readers missed", "%", missed, lower=True))

    def median(way: str, count: int, what: str) -> float:
        return statistics.median(getattr(each, what) for each in found[way, count])

    return Result(
        f"Viewers of one process, {FRAMES} frames a second to each",
        f"{MANY:,} or {MORE:,} connections that read and {STALLED} that never do; {FRAMES} times "
        f"a second {ROWS} tasks change, for {SECONDS} s. Late is a frame from its announcement "
        "until its last row was read; a frame that was overtaken by the next counts as missed. "
        "Memory is what the server's process grew by, and what the system holds in the buffers "
        "of its connections, by connections. The peers send the stream's frames.",
        figures,
        [
            Target(f"{MANY:,}: p99", median(PAGE, MANY, "p99"), "ms", at_most=P99),
            Target(f"{MANY:,}: memory", median(PAGE, MANY, "kilobytes"), "KB", at_most=KILOBYTES),
            Target(f"{MORE:,}: p99", median(PAGE, MORE, "p99"), "ms", at_most=P99),
            *(
                Target(
                    f"processor, {peer} to {STREAM}",
                    median(peer, MANY, "cpu") / median(STREAM, MANY, "cpu"),
                    "times",
                    at_least=1.0,
                )
                for peer in PEERS
            ),
        ],
    )


async def _measure(folder: Path, url: str, path: str, packed: bool, count: int) -> Measured:
    port, feeding = free_port(), Feeding(url)
    command = [sys.executable, "-m", SERVER, str(port)]
    environment = {"FEED_URL": url, "DATA_DIR": str(folder)}
    with stack.running(Process(command, folder / "server.log", environment)) as server:
        await stack.until(lambda: stack.answers(f"http://127.0.0.1:{port}", "/healthz"), path)
        await feeding.run(1)
        before = _memory(server.pid, port)
        viewers = await _connect(port, path, packed, feeding, count)
        stalled = [_stall(port, path, packed) for _ in range(STALLED)]

        async def all_began() -> bool:
            # Who came last, while a slow way was busy with the others, needs a frame more.
            await feeding.run(1)
            return all(viewer.began for viewer in viewers)

        await feeding.run(1)
        await stack.until(all_began, "all are sent something")
        first, cpu = len(feeding.at), stack.cpu_seconds(server.pid)
        await feeding.run(SECONDS)
        taken = stack.cpu_seconds(server.pid) - cpu
        memory = _memory(server.pid, port) - before
        await asyncio.sleep(2)
        for viewer in viewers:
            viewer.transport.close()
        for plug in stalled:
            plug.close()
    late = [at for each in viewers for number, at in each.late.items() if number >= first]
    expected = count * SECONDS * FRAMES
    return Measured(
        p99=statistics.quantiles(late, n=100)[98] * 1000,
        kilobytes=memory / 1024 / (count + STALLED),
        cpu=taken / SECONDS * 100,
        missed=100 * (1 - len(late) / expected),
    )


async def _connect(
    port: int, path: str, packed: bool, feeding: Feeding, count: int
) -> list[Viewer]:
    loop, viewers = asyncio.get_running_loop(), []
    for start in range(0, count, AT_ONCE):
        made = [
            loop.create_connection(lambda: Viewer(path, packed, feeding), "127.0.0.1", port)
            for _ in range(min(AT_ONCE, count - start))
        ]
        viewers += [viewer for _, viewer in await asyncio.gather(*made)]
    return viewers


def _stall(port: int, path: str, packed: bool) -> socket.socket:
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plug.connect(("127.0.0.1", port))
    accepted = "Accept-Encoding: gzip\r\n" if packed else ""
    plug.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accepted}\r\n".encode())
    return plug


def _memory(pid: int, port: int) -> float:
    """Bytes of the process, and in the system's buffers of its connections."""
    command = ["ss", "-tmnHO", "sport", "=", f":{port}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = re.findall(r"skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+)", said)
    held = sum(int(received) + int(free) + int(queued) for received, _, free, queued in fields)
    return float(psutil.Process(pid).memory_info().rss + held)


def task_id(row: int) -> str:
    """The id of a task on a page."""
    return f"00000000-0000-4000-8000-{row:012d}"


def changed_task(row: int, number: int) -> Task:
    """It, as the change of that number leaves it."""
    now = time.time()
    return Task(
        id=task_id(row),
        seq=seq_of(now),
        name="worker.tasks.add",
        state=TaskState.SUCCESS,
        args=f'["frame-{number:06d}", 3]',
        kwargs="{}",
        result="5",
        sent_at=now,
        received_at=now,
        started_at=now,
        finished_at=now,
        runtime=0.02,
        queue="celery",
        worker="worker1@bench",
    )
