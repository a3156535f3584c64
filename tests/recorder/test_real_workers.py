"""Real Celery workers and a recorder that only watches them."""

import asyncio
from pathlib import Path

from app.broker.transport import Transport
from app.domain.tasks import TaskState
from app.domain.workers import Worker, WorkerState
from app.store import blind_windows, workers
from tests.recorder.support import Recording
from tests.stock.workers import run_scenario, start_stock_worker
from tests.support import RedisServer, eventually_async


async def worker_is(recording: Recording, state: WorkerState) -> Worker:
    async def reached() -> Worker | None:
        assert recording.db is not None
        found = await asyncio.to_thread(workers.get, recording.db, "stock@test")
        return found if found is not None and found.state is state else None

    found = await eventually_async(reached, 60)
    assert found is not None
    return found


async def test_tasks_of_a_real_worker_are_kept_with_their_true_results(
    recording: Recording, tmp_path: Path
) -> None:
    process = await asyncio.to_thread(start_stock_worker, recording.url, tmp_path / "w.log")
    try:
        ids = await asyncio.to_thread(run_scenario, recording.url)
        added = await recording.reaches(ids["succeeds"], TaskState.SUCCESS, 60)
        await recording.reaches(ids["fails"], TaskState.FAILURE, 60)
        await recording.reaches(ids["retries"], TaskState.SUCCESS, 60)
        assert added.result == "5"
        assert added.worker == "stock@test"
        assert added.queue == "celery"

        async def introduced() -> bool:
            worker = await worker_is(recording, WorkerState.ONLINE)
            assert worker.pool is not None
            assert worker.queues == ("celery",)
            return worker.catalog is not None

        await eventually_async(introduced)
    finally:
        process.stop()
    await worker_is(recording, WorkerState.OFFLINE)


async def test_a_killed_worker_is_lost_and_its_successor_is_online(
    recording: Recording, tmp_path: Path
) -> None:
    first = await asyncio.to_thread(start_stock_worker, recording.url, tmp_path / "w.log")
    await worker_is(recording, WorkerState.ONLINE)
    first.kill_group()
    await worker_is(recording, WorkerState.LOST)
    second = await asyncio.to_thread(start_stock_worker, recording.url, tmp_path / "w.log")
    try:
        await worker_is(recording, WorkerState.ONLINE)
    finally:
        second.stop()


async def test_what_ran_while_no_recorder_listened_is_healed_at_its_start(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path / "redis").start()
    recording = Recording(Transport.from_options(server.url), tmp_path)
    process = None
    try:
        await recording.start()
        ids = await asyncio.to_thread(run_scenario, server.url)
        await recording.reaches(ids["succeeds"], TaskState.PENDING)
        recording.recorder.stop()
        assert recording.running is not None
        await recording.running
        log = tmp_path / "w.log"
        process = await asyncio.to_thread(start_stock_worker, server.url, log)

        async def ran() -> int:  # the last of them: all that was said of the first is past
            return await recording.redis.exists(f"celery-task-meta-{ids['waits']}")

        await eventually_async(ran)
        await recording.start()
        task = await recording.reaches(ids["succeeds"], TaskState.SUCCESS)
        assert task.result == "5"

        async def healed() -> bool:
            assert recording.db is not None
            [window] = blind_windows.latest(recording.db)
            return window.cause == "started" and window.healed_at is not None

        await eventually_async(healed)
    finally:
        await recording.stop()
        if process is not None:
            process.stop()
        server.stop()
