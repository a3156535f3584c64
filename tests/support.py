"""What tests start and wait for: a Redis, Celery workers, conditions with a deadline."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import redis

from app.cli.redis_server import find_binary

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
"""Seconds until a condition that should come true counts as failed; machines differ."""

T = TypeVar("T")


def free_port() -> int:
    """A port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(ask: Callable[[], T], patience: float = PATIENCE, every: float = 0.05) -> T:
    """What `ask` answers once that is true; its last AssertionError or a timeout otherwise."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if answer := ask():
                return answer
            failure: AssertionError | None = None
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not true within {patience} s: {ask}")
        time.sleep(every)


def listeners(client: redis.Redis) -> int:
    """Connections that listen to patterns; PUBSUB NUMPAT counts patterns, however many listen."""
    return sum(int(each["psub"]) > 0 for each in client.client_list())


async def eventually_async(
    ask: Callable[[], Awaitable[T]], patience: float = PATIENCE, every: float = 0.05
) -> T:
    """The same for a coroutine function."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if answer := await ask():
                return answer
            failure: AssertionError | None = None
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not true within {patience} s: {ask}")
        await asyncio.sleep(every)


def end(app: Any) -> None:
    """Closes a Celery application with this thread's connections to its result backend, which
    Celery leaves to the garbage collector: that finds them in a test that did not open them."""
    consumer = app.backend.result_consumer
    consumer.stop()
    consumer.subscribed_to.clear()  # else results that are forgotten connect it again
    app.backend.client.connection_pool.disconnect()
    app.close()


@dataclass
class Process:
    """A child in a session of its own, with its output in a file; stopped by its own pid."""

    command: Sequence[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    user: int | None = None
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        out = self.log.open("ab")
        self.child = subprocess.Popen(
            self.command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.cwd,
            # With bytecode kept, a server is imported in two thirds of the time.
            env={
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONUNBUFFERED": "1",
                **self.env,
            },
            start_new_session=True,
            user=self.user,
        )
        out.close()
        return self

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def signal(self, number: int) -> None:
        if self.running():
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """SIGKILL to it and everything that it started: what a power cut would do."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait(10)

    def stop(self, patience: float = 15.0) -> int:
        """SIGTERM, then SIGKILL to the whole group after `patience` seconds; its exit status."""
        if self.child is None:
            return 0
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill_group()
            return self.child.wait(10)


@dataclass
class RedisServer:
    """A real Redis on a free port, append-only in `folder` if `durable`."""

    folder: Path
    durable: bool = False
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [find_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--appendonly", "yes" if self.durable else "no"]
        self.process = Process(command, self.folder / "redis.log").start()
        eventually(self.answers)
        return self

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as plug:
                plug.sendall(b"PING\r\n")
                return plug.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()


def start_worker(
    broker_url: str,
    log: Path,
    *options: str,
    name: str = "w1",
    app: str = "worker.celery_app",
    cwd: Path = ROOT,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
    wait: bool = True,
) -> Process:
    """A real `celery worker` process, ready to take tasks when this returns."""
    command = [python, "-m", "celery", "-A", app, "worker", "-n", f"{name}@test", *options]
    if not any(option.startswith(("-c", "--concurrency", "-P")) for option in options):
        command += ["-c", "2"]
    settings = {"UMBEL_BROKER_URL": broker_url, "CELERY_BROKER_URL": broker_url}
    settings["CELERY_WORKER_LOGLEVEL"] = "INFO"  # what says "ready"
    process = Process(command, log, env={**settings, **(env or {})}, cwd=cwd).start()
    if wait:

        def ready() -> bool:
            assert process.running(), process.output()
            return " ready." in process.output()

        try:
            eventually(ready)
        except AssertionError:
            process.kill_group()
            raise
    return process
