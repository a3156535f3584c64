"""What a trial runs: a Redis, replicas of Umbel, workers; each started, watched and stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import redis

from tests.chaos import LOG
from tests.chaos.background import Background
from tests.chaos.proxy import Proxy
from tests.http import web
from tests.postgres import PostgresServer
from tests.support import Process, RedisServer, eventually, free_port

PATIENCE = 120.0
"""Seconds until a part that should come up counts as failed, on a machine with much to do."""
SMALL_DISK = 24 * 1024 * 1024
"""Bytes of the disk that is going to be full: room for a few thousand tasks."""
WATCH_SECONDS = 0.1
RESTORING = {"unacked_restore_interval": 2, "unacked_restore_throttle": 1}
"""Workers look every other second for messages to hand out again. Celery's own 100 s (an interval
of 10 s, of which it uses each tenth) would only make the trials longer."""
RESTART_SECONDS = 0.5
"""After which whoever ended is started again, as systemd or a container's restart policy do."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a fault needs of its surroundings.

    `proxied`: who reaches Redis through a proxy, `umbel` or `worker`. `visibility`: seconds until
    Redis hands out again what a dead worker held. `recorders`: `umbel record` beside the replicas.
    """

    replicas: int = 2
    recorders: int = 0
    workers: int = 2
    persistent: bool = True
    proxied: str = ""
    visibility: int = 3600
    small_disk: bool = False
    worker_env: dict[str, str] = field(default_factory=dict)


class Part:
    """One process, started again soon after it ended, unless it was stopped on purpose."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: dict[str, str], mark: str = ""
    ) -> None:
        self.name = name
        self.process = Process(command, log, env)
        self.wanted = False
        self.starts = 0
        self._mark = mark
        self._ended = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Starts it, and has it started again from now on."""
        self.wanted = True
        self.starts += 1
        self.process.start()

    def ready(self) -> bool:
        """It runs, and has said so since its last start."""
        return self.process.running() and self.process.output().count(self._mark) >= self.starts

    def kill(self) -> None:
        """SIGKILL to it alone; what it started lives on, if it can."""
        self.process.signal(signal.SIGKILL)
        if self.process.child is not None:
            self.process.child.wait(10)

    def kill_all(self) -> None:
        """SIGKILL to it and all that it started, at once."""
        self.process.kill_group()

    def stop(self, patience: float = 15.0) -> int:
        """Asks it to stop; its exit status."""
        self.wanted = False
        return self.process.stop(patience)

    def look(self) -> None:
        """Starts it again if it ended a while ago."""
        if not self.wanted or self.process.running():
            self._ended = 0.0
        elif not self._ended:
            self._ended = time.monotonic()
        elif time.monotonic() - self._ended > RESTART_SECONDS:
            self._ended = 0.0
            self.start()


class Stack:
    """Everything that one trial breaks things of. `close` stops all of it, by its pids."""

    def __init__(
        self, folder: Path, mode: str, needs: Needs, background: Background, database: str
    ) -> None:
        self.folder, self.mode, self.needs = folder, mode, needs
        self.postgres = PostgresServer() if database == "postgresql" else None
        self.log = folder / "runs.jsonl"
        self.log.touch()
        self.redis = RedisServer(folder / "redis", durable=needs.persistent)
        self.proxy: Proxy | None = None
        self.replicas: list[Part] = []
        self.recorders: list[Part] = []
        self.workers: list[Part] = []
        self.urls: list[str] = []
        self._background = background
        self._mounted = False
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def parts(self) -> list[Part]:
        return [*self.replicas, *self.recorders, *self.workers]

    @property
    def data(self) -> Path:
        """The folder of the SQLite database."""
        return self.folder / "data"

    def start(self) -> None:
        """All of it, ready for tasks."""
        self.data.mkdir(exist_ok=True)
        if self.needs.small_disk:
            self._mount_small_disk()
        self.redis.start()
        if self.postgres is not None:
            self.postgres.start()
        if self.needs.proxied:
            self.proxy = Proxy(self._background, self.redis.port)
        for number in range(self.needs.replicas):
            self.replicas.append(self._umbel(f"umbel{number}", "serve"))
        for number in range(self.needs.recorders):
            self.recorders.append(self._umbel(f"recorder{number}", "record"))
        for number in range(self.needs.workers):
            self.workers.append(self._worker(f"w{number}"))
        for part in self.parts:
            part.start()
        self._watcher.start()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Returns when every part is ready for its work."""
        eventually(self._up, PATIENCE, 0.1)

    def close(self) -> None:
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join(10)
        self.resume_redis()
        if self.proxy is not None:
            self.proxy.mend()
        for part in self.parts:
            part.wanted = False
            part.process.signal(signal.SIGTERM)
        for part in self.parts:
            part.stop(8)
            part.kill_all()
        self.redis.stop()
        if self.proxy is not None:
            self.proxy.close()
        if self.postgres is not None:
            self.postgres.stop()
        if self._mounted:
            subprocess.run(["umount", self.data], check=True)

    def _mount_small_disk(self) -> None:
        options = ["-o", f"size={SMALL_DISK}", "tmpfs", str(self.data)]
        subprocess.run(["mount", "-t", "tmpfs", *options], check=True)
        self._mounted = True

    # Redis

    def client(self) -> "redis.Redis":
        """A connection of the suite's own, past every proxy."""
        return redis.Redis(port=self.redis.port, decode_responses=True, socket_timeout=5)

    def kill_redis(self, number: int = signal.SIGKILL) -> None:
        assert self.redis.process is not None
        self.redis.process.signal(number)
        assert self.redis.process.child is not None
        self.redis.process.child.wait(15)

    def start_redis(self) -> None:
        self.redis.start()

    def pause_redis(self) -> None:
        assert self.redis.process is not None
        self.redis.process.signal(signal.SIGSTOP)

    def resume_redis(self) -> None:
        if self.redis.process is not None:
            self.redis.process.signal(signal.SIGCONT)

    # Umbel

    def leader(self, *, live: bool = True) -> int:
        """The pid of the recorder that is active, and hears if `live`; 0 where there is none."""
        with suppress(redis.RedisError, OSError), self.client() as client:
            if found := client.get("umbel:recorder"):
                status = json.loads(str(found))
                pid = int(status["recorder"].rpartition(":")[2])
                if (status["live"] or not live) and alive(pid):
                    return pid
        return 0

    def wait_for_leader(
        self, other_than: int = 0, *, live: bool = True, patience: float = PATIENCE
    ) -> int:
        """The pid of the active recorder, once it is not that one."""

        def found() -> int:
            pid = self.leader(live=live)
            return 0 if pid == other_than else pid

        return eventually(found, patience)

    def is_ready(self, url: str) -> bool:
        """What `/readyz` says there."""
        with suppress(httpx.HTTPError):
            return web.get(url + "/readyz", timeout=5).status_code == 200
        return False

    def _up(self) -> bool:
        workers = all(part.ready() for part in self.workers if part.wanted)
        wanted = zip(self.replicas, self.urls, strict=True)
        return workers and all(self.is_ready(url) for part, url in wanted if part.wanted)

    def _umbel(self, name: str, command: str) -> Part:
        port = free_port()
        environment = {
            "UMBEL_BROKER_URL": self._redis_url("umbel"),
            "UMBEL_DATA_DIR": str(self.data),
            "UMBEL_PORT": str(port),
        }
        if self.postgres is not None:
            environment["UMBEL_DATABASE_URL"] = self.postgres.url()
        if command == "serve":
            self.urls.append(f"http://127.0.0.1:{port}")
        line = [sys.executable, "-m", "app.cli", command]
        return Part(name, line, self.folder / f"{name}.log", environment)

    # Workers

    def _worker(self, name: str) -> Part:
        url = self._redis_url("worker")
        options = {"visibility_timeout": self.needs.visibility, **RESTORING}
        environment = {
            "CELERY_BROKER_URL": url,
            "UMBEL_BROKER_URL": url,
            "UMBEL_BROKER_TRANSPORT_OPTIONS": json.dumps(options),
            "CHAOS_TRANSPORT_OPTIONS": json.dumps(options),
            "CELERY_WORKER_LOGLEVEL": "INFO",
            LOG: str(self.log),
            **(self.needs.worker_env if name == "w0" else {}),
        }
        line = [sys.executable, "-m", "celery", "-A", f"tests.chaos.{self.mode}", "worker"]
        line += ["-n", f"{name}@chaos", "-c", "2"]
        return Part(name, line, self.folder / f"{name}.log", environment, mark=" ready.")

    def _redis_url(self, who: str) -> str:
        if self.proxy is not None and self.needs.proxied == who:
            return self.proxy.url
        return self.redis.url

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_SECONDS):
            for part in self.parts:
                part.look()


def alive(pid: int) -> bool:
    """Whether that process still runs."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@dataclass(frozen=True)
class Stopped:
    """A process that SIGSTOP froze: SIGCONT at the end of the block, whatever happens."""

    pid: int

    def __enter__(self) -> "Stopped":
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
