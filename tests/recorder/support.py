"""Starts recorders, publishes to them, and reads what they kept and announced."""

import asyncio
import base64
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from redis.asyncio import Redis

from app.broker.subscription import Heard
from app.broker.transport import Transport
from app.domain.filters import TaskFilter
from app.domain.tasks import Task, TaskState
from app.feed.changes import Change
from app.feed.codec import decode_summary
from app.feed.status import RecorderStatus, read_status
from app.feed.stream import read_entries
from app.recorder import Recorder
from app.store import pages, tasks
from app.store.database import Database
from tests.support import ROOT, Process, eventually_async

RETENTION = 86_400.0 * 3650
"""Recorded events are from one day in the past; no test here is about forgetting them."""


class Recording:
    """A recorder on one broker, with a store in `folder`."""

    def __init__(self, transport: Transport, folder: Path) -> None:
        self.transport = transport
        self.url = transport.url
        self.database_url = f"sqlite:///{folder}/umbel.db"
        self.redis = Redis.from_url(self.url, protocol=2)
        self.recorder = self._recorder()
        self.running: asyncio.Task[None] | None = None
        self.db: Database | None = None

    def _recorder(self) -> Recorder:
        return Recorder(
            self.transport,
            database_url=self.database_url,
            redis_url=self.url,
            retention=RETENTION,
        )

    async def start(self) -> None:
        self.recorder = self._recorder()
        self.running = asyncio.create_task(self.recorder.run())
        await eventually_async(self.live)
        self.db = self.db or Database.open(self.database_url)

    async def stop(self) -> None:
        if self.running is not None:
            self.recorder.stop()
            await self.running
            self.running = None
        if self.db is not None:
            self.db.close()
            self.db = None
        await self.redis.aclose()

    async def status(self) -> RecorderStatus | None:
        return await read_status(self.redis)

    async def live(self) -> bool:
        if self.running is not None and self.running.done():
            self.running.result()
        status = await self.status()
        return status is not None and status.live

    async def publish(self, messages: Iterable[Heard]) -> None:
        pipeline = self.redis.pipeline(transaction=False)
        for message in messages:
            pipeline.publish(message.channel.decode(), message.payload)
        await pipeline.execute()

    async def say(self, *events: dict[str, object]) -> None:
        await self.publish(event_message(self.transport, event) for event in events)

    async def task(self, task_id: str) -> Task | None:
        assert self.db is not None
        return await asyncio.to_thread(tasks.get, self.db, task_id)

    async def tasks(self) -> list[Task]:
        assert self.db is not None
        page = await asyncio.to_thread(pages.page, self.db, TaskFilter(), limit=500)
        return page.tasks

    async def reaches(self, task_id: str, state: TaskState, patience: float = 30.0) -> Task:
        async def reached() -> Task:
            task = await self.task(task_id)
            assert task is not None, f"{task_id} was never heard of"
            assert task.state is state, f"{task_id} is {task.state}"
            return task

        return await eventually_async(reached, patience)

    async def announced(self) -> list[Change]:
        return await read_entries(self.redis, "-", "+", 1_000_000)

    async def last_summaries(self) -> dict[str, bytes]:
        """Each task's summary as it was last announced."""
        told = [change.data for change in await self.announced() if change.kind == "task"]
        return {decode_summary(data).id: data for data in told}


def event_message(transport: Transport, event: dict[str, object]) -> Heard:
    """An event as a worker publishes it."""
    kind = str(event["type"])
    body = {"hostname": "w1@test", "utcoffset": 0, "pid": 1, "clock": 1, **event}
    channel = transport.event_channel(kind)
    envelope = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": body["hostname"]},
        "properties": {
            "delivery_mode": 1,
            "delivery_info": {"exchange": "celeryev", "routing_key": kind.replace("-", ".")},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "d",
        },
    }
    return Heard(channel.encode(), json.dumps(envelope).encode(), 0.0)


def life(task_id: str, at: float, name: str = "app.work") -> list[dict[str, object]]:
    """Everything that is said of a task that succeeds."""
    about: dict[str, object] = {"uuid": task_id, "name": name, "args": "()", "kwargs": "{}"}
    about |= {"root_id": task_id, "parent_id": None, "retries": 0, "eta": None, "expires": None}
    return [
        {"type": "task-sent", "timestamp": at, "queue": "celery", **about},
        {"type": "task-received", "timestamp": at + 0.001, **about},
        {"type": "task-started", "timestamp": at + 0.002, "uuid": task_id},
        {
            "type": "task-succeeded",
            "timestamp": at + 0.003,
            "uuid": task_id,
            "result": "7",
            "runtime": 0.001,
        },
    ]


def start_recorder(recording: Recording, log: Path) -> Process:
    """A recorder in a process of its own, as `umbel record` runs it."""
    code = (
        "import asyncio, sys\n"
        "from app.broker.transport import Transport\n"
        "from app.recorder import record\n"
        "broker, database = sys.argv[1:]\n"
        "asyncio.run(record(Transport.from_options(broker), database_url=database,"
        f" redis_url=broker, retention={RETENTION!r}))\n"
    )
    command = [sys.executable, "-c", code, recording.url, recording.database_url]
    return Process(command, log, cwd=ROOT).start()
