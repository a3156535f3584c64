"""Revokes that hold, whatever workers, Redis and the recorder do. What ran has left a mark."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app.broker.connection import connect
from app.broker.revokes import Revoke, count_revokes, keep_and_send
from app.broker.transport import Transport
from app.domain.tasks import Task, TaskState
from app.operations.revoke import Requested, send_revoke
from app.recorder import revokes as holding
from app.recorder import sweep
from tests.recorder.support import Recording
from tests.stock.install import INSTALLED, PINS, python
from tests.stock.workers import start_stock_worker
from tests.support import Process, RedisServer, end, eventually_async

pytestmark = pytest.mark.timeout(240)  # some wait for the sweep that comes once a minute
VISIBLE_SECONDS = 2
PLAIN = {"broker_transport_options": {"visibility_timeout": VISIBLE_SECONDS}}
WITHOUT_MINGLE = ("--without-mingle", "--without-gossip")


@dataclass
class Scene:
    """A recorder, an application's client, and workers on one Redis."""

    recording: Recording
    folder: Path
    celery: "Celery[Any]"
    workers: list[Process] = field(default_factory=list)

    @property
    def transport(self) -> Transport:
        return self.recording.transport

    async def worker(self, name: str, *options: str, **more: Any) -> Process:
        log = self.folder / f"{name}-{len(self.workers)}.log"
        start: Callable[..., Process] = start_stock_worker
        options = ("-c", "1", *options)
        more = {"settings": PLAIN, **more}
        url = self.recording.url
        process = await asyncio.to_thread(start, url, log, *options, name=name, **more)
        self.workers.append(process)
        return process

    async def send(self, name: str = "stock.mark", args: tuple[Any, ...] = (), **more: Any) -> str:
        sent = await asyncio.to_thread(self.celery.send_task, name, args, **more)
        return str(sent.id)

    async def revoke(self, task_id: str, queue: str = "celery", **more: Any) -> Requested:
        redis = connect(self.recording.url)
        state = more.pop("state", TaskState.PENDING)
        task = Task(id=task_id, seq=1 << 60, state=state, queue=queue)
        given = {"terminate": False, "signal": "SIGTERM", **more}
        try:
            return await send_revoke(redis, self.transport, task, by="anyone", **given)
        finally:
            await redis.aclose()

    async def ran(self) -> list[str]:
        return [one.decode() for one in await self.recording.redis.lrange("ran", 0, -1)]

    async def runs(self, task_id: str) -> None:
        """It has at least begun to run."""

        async def has_run() -> bool:
            return task_id in await self.ran()

        await eventually_async(has_run, 60)

    async def runs_only(self, *task_ids: str) -> None:
        """A task sent now runs, so everything before it has had its turn; nothing else ran."""
        last = await self.send()
        await self.runs(last)
        assert await self.ran() == [*task_ids, last]

    async def is_settled(self) -> None:
        """Nothing is left of any revoke, neither in the ledger nor at the broker."""

        async def settled() -> bool:
            kept = await count_revokes(self.recording.redis, self.transport)
            return not kept and not await self.recording.redis.hlen("unacked")

        await eventually_async(settled, 100)

    async def holds(self, task_id: str) -> None:
        """A worker has this task's message."""

        async def held() -> bool:
            entries = await self.recording.redis.hvals("unacked")
            return any(task_id.encode() in entry for entry in entries)

        await eventually_async(held)


@pytest.fixture
async def scene(recording: Recording, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(recording, tmp_path, _client(recording.url))
    yield scene
    await _stop(scene)


def _client(url: str) -> "Celery[Any]":
    """It sends no `task-sent`, so that nobody knows of a queue before a worker reads it."""
    client: Celery[Any] = Celery("client", broker=url, backend=url, set_as_current=False)
    client.conf.update(PLAIN)
    client.conf.result_backend_thread_safe = True  # one for all threads that send
    return client


async def _stop(scene: Scene) -> None:
    for process in scene.workers:
        await asyncio.to_thread(process.stop)
    end(scene.celery)


async def test_what_was_revoked_while_no_worker_was_there_never_runs(scene: Scene) -> None:
    task_id = await scene.send()
    requested = await scene.revoke(task_id)
    assert (requested.heard, requested.withdrawn) == (0, True)
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.worker("w1")
    await scene.runs_only()
    await scene.is_settled()


@pytest.mark.parametrize("version", [*PINS, INSTALLED])
async def test_a_worker_is_told_before_its_first_message(scene: Scene, version: str) -> None:
    """The message is where nobody looks for it, so it is still there when the worker comes."""
    if python(version) is None:
        pytest.skip(f"Celery {version} is not installed here")
    task_id = await scene.send(queue="elsewhere")
    assert not (await scene.revoke(task_id)).withdrawn
    worker = await scene.worker("w1", "-Q", "elsewhere,celery", version=version)
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.runs_only()
    assert "sync with 1 nodes" in worker.output()
    await scene.is_settled()


async def test_a_worker_that_does_not_say_hello_is_told_when_it_is_there(scene: Scene) -> None:
    task_id = await scene.send(queue="elsewhere", countdown=15)
    await scene.revoke(task_id)
    await scene.worker("w1", "-Q", "elsewhere,celery", *WITHOUT_MINGLE)
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.is_settled()
    await scene.runs_only()


async def test_what_a_killed_worker_held_is_not_run_by_the_next(scene: Scene) -> None:
    first = await scene.worker("w1")
    busy = await scene.send(args=(600,))
    await scene.runs(busy)
    task_id = await scene.send()
    await scene.holds(task_id)
    assert (await scene.revoke(task_id)).heard == 1
    first.kill_group()
    await asyncio.sleep(VISIBLE_SECONDS)  # Redis hands it out again to whoever comes
    await scene.worker("w2")
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.runs_only(busy)
    await scene.is_settled()


async def test_what_a_worker_left_behind_is_taken_back_before_any_other_comes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "ORPHAN_SECONDS", 1.0)
    first = await scene.worker("w1", *WITHOUT_MINGLE)
    busy = await scene.send(args=(600,))
    await scene.runs(busy)
    task_id = await scene.send()
    await scene.holds(task_id)
    first.kill_group()
    assert not (await scene.revoke(task_id)).withdrawn
    await scene.is_settled()
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.worker("w2", *WITHOUT_MINGLE)
    await scene.runs_only(busy)


async def test_a_worker_that_restarts_without_a_state_file_still_knows(scene: Scene) -> None:
    first = await scene.worker("w1")
    task_id = await scene.send(countdown=15)
    await scene.holds(task_id)
    assert (await scene.revoke(task_id)).heard == 1
    await asyncio.to_thread(first.stop)
    await scene.worker("w1")
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.is_settled()
    await scene.runs_only()


async def test_of_two_workers_both_know_also_when_one_was_replaced(scene: Scene) -> None:
    first, _ = await asyncio.gather(scene.worker("w1"), scene.worker("w2"))
    ids = [await scene.send(countdown=12) for _ in range(4)]
    for task_id in ids:
        await scene.holds(task_id)
        assert (await scene.revoke(task_id)).heard == 2
    first.kill_group()
    await scene.worker("w3")
    await scene.is_settled()
    await scene.runs_only()
    for task_id in ids:
        await scene.recording.reaches(task_id, TaskState.REVOKED)


async def test_a_thousand_revokes_at_once_hold(scene: Scene) -> None:
    ids = [await scene.send(queue="elsewhere") for _ in range(1_000)]
    for start in range(0, len(ids), 10):
        await asyncio.gather(*(scene.revoke(one) for one in ids[start : start + 10]))
    await scene.worker("w1", "-Q", "elsewhere,celery")
    await scene.runs_only()
    await scene.is_settled()


async def test_a_worker_that_is_busy_keeps_nobody_else_from_being_told(scene: Scene) -> None:
    await scene.worker("solo", "-P", "solo", "-Q", "busy")
    busy = await scene.send(args=(600,), queue="busy")
    await scene.runs(busy)
    task_id = await scene.send(queue="elsewhere", countdown=15)
    assert (await scene.revoke(task_id)).heard == 1
    await scene.worker("w1", "-Q", "elsewhere,celery", *WITHOUT_MINGLE)
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.runs_only(busy)
    scene.workers[0].kill_group()


async def test_a_terminate_that_nobody_heard_is_told_again(scene: Scene) -> None:
    await scene.worker("w1")
    task_id = await scene.send(args=(600,))
    await scene.runs(task_id)
    deaf = Transport(url=scene.recording.url, result_url="", control_exchange="nobody")
    revoke = Revoke(task_id=task_id, terminate=True, signal="SIGTERM")
    assert (await keep_and_send(scene.recording.redis, deaf, revoke)).heard == 0
    await scene.recording.reaches(task_id, TaskState.REVOKED)
    await scene.is_settled()


async def test_a_task_that_ended_by_itself_is_not_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "SWEEP_SECONDS", 0.5)
    await scene.worker("w1")
    task_id = await scene.send(args=(3,))
    await scene.recording.reaches(task_id, TaskState.STARTED)
    await scene.revoke(task_id, state=TaskState.STARTED)
    await scene.recording.reaches(task_id, TaskState.SUCCESS)
    await scene.is_settled()


async def test_revokes_outlive_redis_and_the_recorder(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", durable=True).start()
    scene = Scene(
        Recording(Transport.from_options(server.url), tmp_path), tmp_path, _client(server.url)
    )
    try:
        await scene.recording.start()
        kept = await scene.send(queue="elsewhere")
        await scene.revoke(kept)
        assert not (await scene.revoke(kept)).withdrawn
        scene.recording.recorder.stop()
        assert scene.recording.running is not None
        await scene.recording.running
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await scene.recording.start()
        await scene.worker("w1", "-Q", "elsewhere,celery")
        await scene.recording.reaches(kept, TaskState.REVOKED)
        await scene.runs_only()
    finally:
        await _stop(scene)
        await scene.recording.stop()
        server.stop()
