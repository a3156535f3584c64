"""`umbel up`: Redis, the API with its recorder, and workers, on one machine in one terminal."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlsplit

import typer

from app.cli import redis_server
from app.cli.data_folder import DataFolder, Running
from app.cli.flags import with_settings
from app.cli.output import OURS, Output
from app.cli.processes import Process, ended
from app.cli.running import with_broker
from app.cli.serve import check_address
from app.domain.errors import CannotStart
from app.domain.workers import WorkerState
from app.settings import Settings, misspelt

PATIENCE = 60.0
"""Seconds until everything should be ready on a slow machine; then we say what is missing."""
SOFT_SHUTDOWN = 2.0
"""Seconds that running tasks get to end when `umbel up` stops; the rest go back to their queue."""
STOP_SERVE = ((signal.SIGTERM, 3.0),)
STOP_WORKER = ((signal.SIGQUIT, SOFT_SHUTDOWN + 1.5),)
"""Celery's soft shutdown: running tasks may end, the others are handed back."""
STOP_REDIS = ((signal.SIGTERM, 1.5),)
"""Together below the 10 s in which `umbel up` promises to be gone."""
_EVERY = 0.05
"""Seconds between two looks at what is not ready yet."""
_ANSWER = 2.0
"""Seconds for an answer of the server."""


@with_settings
def up(
    *,
    settings: Settings,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Worker processes to run.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Tasks that each worker runs at a time.")
    ] = None,
) -> None:
    """Run everything on this machine: Redis unless one is given, API, recorder and workers."""
    check_address(settings)
    asyncio.run(Together(settings, workers, concurrency).run())


class Together:
    """All that `umbel up` runs. `run` returns when the last of it has ended."""

    def __init__(self, settings: Settings, workers: int, concurrency: int | None) -> None:
        self._settings = settings
        self._concurrency = concurrency
        self._names = [f"worker{number}" for number in range(1, workers + 1)]
        self._folder = DataFolder(settings.data_dir)
        self._say = Output(settings.log_format)
        self._redis: list[Process] = []
        self._workers: list[Process] = []
        self._server: list[Process] = []
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Starts everything and keeps it running until a signal. Raises CannotStart."""
        self._folder.take()
        self._listen_for_signals()
        running = asyncio.create_task(self._run())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
        finally:
            for task in (running, ending):
                task.cancel()
            with suppress(asyncio.CancelledError, CannotStart):
                await running
            await self._stop()
            self._folder.release()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            loop.add_signal_handler(number, self._ending.set)

    async def _run(self) -> None:
        for sentence in misspelt():
            self._say(OURS, sentence)
        if not self._settings.broker_url:
            self._settings = with_broker(self._settings, await self._start_redis())
        url = self._settings.address
        broker_url = self._settings.broker_url
        self._folder.tell(Running(pid=os.getpid(), url=url, broker_url=broker_url))
        self._workers = [self._worker(name) for name in self._names]
        self._server = [self._serve()]
        # The server first: its recorder is what all the rest is waiting for.
        for process in self._server + self._workers:
            await process.start()
        await self._until(self._is_ready)
        self._say(OURS, f"Umbel is ready: {url}")
        await asyncio.gather(*(each.keep_running() for each in self._everything()))

    async def _start_redis(self) -> str:
        folder = self._settings.data_dir / "redis"
        binary = redis_server.find_binary()
        redis_server.check_format(binary, folder)
        redis_server.end_orphan(folder)
        port = redis_server.choose_port(folder)
        process = Process(
            "redis",
            redis_server.command(binary, folder, port),
            say=self._say,
            ways_to_stop=STOP_REDIS,
        )
        self._redis = [process]
        await process.start()
        await self._until(partial(_redis_answers, port))
        return f"redis://{redis_server.LOOPBACK}:{port}/0"

    def _worker(self, name: str) -> Process:
        command = [sys.executable, "-m", "celery", "-q", "-A", "worker.celery_app", "worker"]
        command += ["-n", _node(name), "-l", self._settings.log_level]
        if self._concurrency:
            command += ["-c", str(self._concurrency)]
        return Process(
            name,
            command,
            say=self._say,
            environment={
                **self._settings.environment(),
                "UMBEL_SOFT_SHUTDOWN": str(SOFT_SHUTDOWN),
            },
            ways_to_stop=STOP_WORKER,
        )

    def _serve(self) -> Process:
        return Process(
            "serve",
            [sys.executable, "-m", "app.cli", "serve"],
            say=self._say,
            environment=self._settings.environment(),
            ways_to_stop=STOP_SERVE,
        )

    async def _is_ready(self) -> str:
        """What is missing still; "" for nothing."""
        url = self._settings.address
        try:
            status, answer = await asyncio.to_thread(_ask, url, "/readyz")
            if status != HTTPStatus.OK:
                return f"/readyz says {answer.decode()}"
            for name in self._names:
                status, answer = await asyncio.to_thread(_ask, url, f"/workers/{_node(name)}")
                if status != HTTPStatus.OK or not _is_online(json.loads(answer)):
                    return f"{name} is not online"
        except OSError:
            return f"{url} does not answer"
        return ""

    async def _until(self, look: Callable[[], Awaitable[str]]) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while missing := await look():
            for process in self._everything():
                if process.pid is None:
                    status = await process.wait()
                    raise CannotStart(f"{process.name} {ended(status)} before it was ready.")
            if asyncio.get_running_loop().time() > deadline:
                raise CannotStart(f"Not ready after {PATIENCE:g} s: {missing}.")
            await asyncio.sleep(_EVERY)

    def _everything(self) -> list[Process]:
        return [*self._redis, *self._workers, *self._server]

    async def _stop(self) -> None:
        if self._everything():
            self._say(OURS, "Stopping.")
        for stage in (self._server, self._workers, self._redis):
            await asyncio.gather(*(process.stop() for process in stage))


def _ask(url: str, path: str) -> tuple[int, bytes]:
    """Status and body. Raises OSError where nobody answers."""
    from http.client import HTTPConnection, HTTPException  # needed when all else is started

    connection = HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER)
    try:
        connection.request("GET", quote(path))
        response = connection.getresponse()
        return response.status, response.read()
    except HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()


def _node(name: str) -> str:
    return f"{name}@{socket.gethostname()}"


def _is_online(worker: object) -> bool:
    return isinstance(worker, dict) and worker.get("state") == WorkerState.ONLINE


async def _redis_answers(port: int) -> str:
    return "" if redis_server.answers(port) else f"Redis on port {port} does not answer"
