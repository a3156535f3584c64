"""A whole site for the run: its own Redis, `umbel serve` with its recorder, and one worker."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http import new_client, web
from tests.support import PATIENCE, Process, RedisServer, eventually, free_port, start_worker


@dataclass
class Site:
    """A running `umbel serve`. Paths are relative to its address."""

    redis: RedisServer
    folder: Path
    port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=dict)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Site":
        env = {
            "UMBEL_BROKER_URL": self.redis.url,
            "UMBEL_DATA_DIR": str(self.folder / "data"),
            "UMBEL_PORT": str(self.port),
            **self.env,
        }
        log = self.folder / f"serve-{self.port}.log"
        command = [sys.executable, "-m", "app.cli", "serve"]
        self.process = Process(command, log, env).start()
        eventually(self.answers)
        return self

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.running(), self.process.output()
        try:
            return web.get(self.url + "/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> bool:
        return web.get(self.url + "/readyz").status_code == 200

    def stop(self) -> int:
        assert self.process is not None
        return self.process.stop()


@dataclass
class Event:
    """One Server-Sent Event as it was read."""

    name: str
    id: str | None
    data: Any


class Listener:
    """Reads a stream in a thread; `events` are what has come so far."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        self._connection.request("GET", f"{parts.path}?{parts.query}", headers=headers or {})
        self._answer = self._connection.getresponse()
        self.status, self.headers = self._answer.status, self._answer.headers
        self.events: list[Event] = []
        self.text = b""
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        buffered = b""
        try:
            while part := self._answer.read1():
                self.text += part
                *whole, buffered = (buffered + part).split(b"\n\n")
                self.events += [event for block in whole if (event := _event(block))]
        except (OSError, HTTPException, ValueError):
            pass
        finally:
            self.ended.set()

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def wait_for(self, condition: Callable[[Event], bool]) -> Event:
        """The first event for which that is so."""
        return eventually(lambda: [event for event in self.events if condition(event)])[0]

    def close(self) -> None:
        if (sock := self._connection.sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.ended.wait(PATIENCE)
        self._answer.close()
        self._connection.close()


def _event(block: bytes) -> Event | None:
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
    if "data" not in fields:
        return None
    return Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))


@contextmanager
def listening(url: str, headers: dict[str, str] | None = None) -> Iterator[Listener]:
    """A listener for the block."""
    listener = Listener(url, headers)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The API with its recorder, and a worker `w1@test`; shared, so look only at your own tasks."""
    folder = tmp_path_factory.mktemp("site")
    server = RedisServer(folder / "redis").start()
    found = Site(server, folder).start()
    worker = start_worker(server.url, folder / "worker.log")
    eventually(found.ready)
    eventually(lambda: web.get(found.url + "/catalog").json()["tasks"])
    yield found
    worker.stop()
    found.stop()
    server.stop()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    """Speaks to the shared site."""
    with new_client(base_url=site.url, timeout=PATIENCE) as found:
        yield found


def submit(client: httpx.Client, path: str, body: object) -> str:
    """Submits, and gives the task's id."""
    answer = client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task, once it has ended."""
    task: dict[str, Any] = client.get(f"/tasks/{task_id}", params={"wait": PATIENCE}).json()
    assert task["finished_at"], task
    return task


def unique() -> str:
    """A name that no other test uses."""
    return f"t{time.time_ns()}"
