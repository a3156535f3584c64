"""Several recorders on one broker and one store, and a network between them that can break."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil

from app.broker.transport import Transport
from app.domain.tasks import Task, TaskState
from app.feed.changes import id_order
from app.feed.codec import encode_summary
from app.feed.replicas import Replica, read_replicas
from app.recorder.recorder import Recorder
from app.store import tasks
from tests.recorder.support import RETENTION, Recording, life, start_recorder
from tests.support import Process, eventually_async, free_port

TAKEOVER = 15.0
"""Seconds, on a machine that runs other tests as well. What is promised is a third of that, which
`make chaos` measures."""


class Cable:
    """A TCP connection to Redis for one recorder; `pull` it and nothing arrives any more, while
    nobody is told."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._lines: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def lay(self) -> "Cable":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    def pull(self) -> None:
        self._whole.clear()

    def plug_in(self) -> None:
        self._whole.set()

    async def remove(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._lines.append(asyncio.create_task(self._connect(near, back)))

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        ends = [back]
        try:
            await self._whole.wait()
            far, forth = await asyncio.open_connection("127.0.0.1", self._target)
            ends.append(forth)
            await asyncio.gather(self._pump(near, forth), self._pump(far, back))
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


async def freeze(pid: int, recording: Recording) -> None:
    """Stops a process while it is outside of a transaction: else it would hold the file's lock."""
    path = Path(recording.database_url.removeprefix("sqlite:///"))
    while True:
        os.kill(pid, signal.SIGSTOP)
        await eventually_async(lambda: _has_stopped(pid), every=0.001)
        if not await asyncio.to_thread(is_locked, path):
            return
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(random.uniform(0.0, 0.05))


async def _has_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def is_locked(path: Path) -> bool:
    """Somebody is in the middle of writing to that file."""
    with closing(sqlite3.connect(path, timeout=0)) as raw:
        raw.isolation_level = None
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        raw.execute("ROLLBACK")
        return False


class Replicas:
    """Recorder processes that share one broker and one store."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        self.recording = recording
        self._folder = folder
        self.processes: list[Process] = []

    def start(self, url: str | None = None) -> Process:
        """One more; `url` is its own way to Redis."""
        log = self._folder / f"recorder-{len(self.processes)}.log"
        place = self.recording
        if url is not None:
            place = Recording(Transport.from_options(url), self._folder)
        self.processes.append(start_recorder(place, log))
        return self.processes[-1]

    async def leads(self, process: Process, patience: float = 30.0) -> None:
        """Waits until that one is the active recorder and hears."""

        async def leading() -> bool:
            assert process.running(), process.output()
            status = await self.recording.status()
            found = await self.leader()
            return (
                found is not None
                and found.pid == process.pid
                and status is not None
                and status.recorder == found.name
                and status.live
            )

        await eventually_async(leading, patience)

    async def stands_by(self, process: Process) -> None:
        """Waits until that one stands by, also after it had been active."""

        async def standing() -> bool:
            return _last_said(process, "standing by")

        await eventually_async(standing)

    async def settled(self) -> Process:
        """The active one, once it hears and all others stand by."""

        async def settled() -> Process | None:
            found = await self.leader()
            status = await self.recording.status()
            if found is None or status is None or status.recorder != found.name:
                return None
            others = [each for each in self.processes if each.pid != found.pid]
            if not status.live or not all(_last_said(each, "standing by") for each in others):
                return None
            [active] = [each for each in self.processes if each.pid == found.pid]
            return active

        return await eventually_async(settled)

    async def ended(self, process: Process) -> int:
        """The exit status of one that was told to stop."""
        assert process.child is not None
        return await asyncio.to_thread(process.child.wait, 30)

    async def leader(self) -> Replica | None:
        found = [each for each in await read_replicas(self.recording.redis) if each.leads]
        assert len(found) <= 1
        return found[0] if found else None

    def stop(self) -> None:
        for process in self.processes:
            process.stop()


def _last_said(process: Process, words: str) -> bool:
    return words in (process.output().splitlines() or [""])[-1]


class Talk:
    """Publishes whole lives of tasks and their results, one after the other, until `end`."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._ending = asyncio.Event()
        self._talking = asyncio.create_task(self._talk())
        self.ids: list[str] = []

    async def end(self) -> list[str]:
        self._ending.set()
        await self._talking
        return self.ids

    async def _talk(self) -> None:
        while not self._ending.is_set():
            task_id = f"task-{len(self.ids)}"
            *before, ended = life(task_id, time.time())
            result = {"task_id": task_id, "status": "SUCCESS", "result": 7, "traceback": None}
            await self._recording.say(*before)
            await self._recording.redis.set(f"celery-task-meta-{task_id}", json.dumps(result))
            await self._recording.say(ended)
            self.ids.append(task_id)
            await asyncio.sleep(0.005)


async def all_true(recording: Recording, ids: list[str]) -> None:
    """Every task ends in the store as it did, and what was announced last says the same."""
    db = recording.db
    assert db is not None

    async def told() -> bool:
        kept: dict[str, Task] = {}
        for start in range(0, len(ids), 500):
            kept |= await asyncio.to_thread(tasks.get_many, db, ids[start : start + 500])
        missing = set(ids) - set(kept)
        assert not missing, f"{len(missing)} of {len(ids)} missing: {sorted(missing)[:5]}"
        wrong = [each for each in ids if kept[each].state is not TaskState.SUCCESS]
        assert not wrong, f"{len(wrong)} of {len(ids)} wrong: {kept[wrong[0]]}"
        summaries = await recording.last_summaries()
        assert {each: summaries.get(each) for each in ids} == {
            each: encode_summary(kept[each]) for each in ids
        }
        return True

    await eventually_async(told, 60)


async def nothing_doubled(recording: Recording) -> None:
    """Ids of the feed only grow, and nobody has to read anew."""
    told = await recording.announced()
    ids = [change.id for change in told]
    assert ids == sorted(set(ids), key=id_order)
    assert not [change for change in told if change.kind == "reset"]


def recorder_of(recording: Recording, redis_url: str | None = None) -> Recorder:
    """One in the test's own process."""
    return Recorder(
        recording.transport,
        database_url=recording.database_url,
        redis_url=redis_url or recording.url,
        retention=RETENTION,
    )
