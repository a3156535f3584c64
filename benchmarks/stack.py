"""What the benchmarks start: a Redis, Umbel's parts, workers, peers; and what they cost."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.support import Process, RedisServer, free_port, start_worker

PATIENCE = 120.0
"""Seconds until something that should happen counts as failed."""


@contextmanager
def redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis that lets slow subscribers lag, so that none is cut off and all hear everything."""
    server = RedisServer(folder / "redis").start()
    try:
        _configure(server.port)
        yield server
    finally:
        server.stop()


@contextmanager
def umbel(
    folder: Path, broker_url: str, *command: str, more: dict[str, str] | None = None
) -> Iterator[tuple[Process, str]]:
    """`umbel serve` or `umbel record` on a database of its own, or as `more` settings say; its
    process and address."""
    port = free_port()
    environment = {
        "UMBEL_BROKER_URL": broker_url,
        "UMBEL_DATA_DIR": str(folder / "data"),
        "UMBEL_PORT": str(port),
        "UMBEL_LOG_LEVEL": "warning",
    } | (more or {})
    (folder / "data").mkdir(exist_ok=True)
    process = Process(
        [sys.executable, "-m", "app.cli", *command], folder / "umbel.log", environment
    )
    with running(process):
        yield process, f"http://127.0.0.1:{port}"


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """The process until the end of the block."""
    process.start()
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def worker(folder: Path, broker_url: str, *options: str) -> Iterator[Process]:
    """A worker of the sample application, ready."""
    process = start_worker(broker_url, folder / "worker.log", "-l", "WARNING", *options, wait=False)
    try:
        yield process
    finally:
        process.stop()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all that it started, so far."""
    process = psutil.Process(pid)
    found = 0.0
    for each in (process, *process.children(recursive=True)):
        times = each.cpu_times()
        found += times.user + times.system
    return found


async def until(ask: Callable[[], Awaitable[bool]], what: str, every: float = 0.1) -> None:
    """Returns when it is so; a failure after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not await ask():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {PATIENCE:g} s: {what}")
        await asyncio.sleep(every)


async def answers(url: str, path: str = "/readyz") -> bool:
    """Something there says 200."""
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        try:
            return (await client.get(url + path)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def _configure(port: int) -> None:
    import redis as redis_py

    with redis_py.Redis(port=port) as client:
        client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
