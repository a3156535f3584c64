"""Workers that die, and what becomes of the tasks that they had."""

import asyncio
from pathlib import Path

import pytest
from celery import Celery

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.recorder import watch
from app.store import queues
from tests.recorder.healing import QuickRecording, clock_is_past, freeze, start_stock, thaw
from tests.recorder.support import Recording
from tests.support import Process, eventually_async

W1 = "w1@test"
CELERY_HEARTBEAT = 2.0
"""Seconds between two heartbeats, unless a worker is told otherwise."""
DISTINCT_SECONDS = 8.0
"""Between a task's start and the next process of its worker, which must not be told that
close: since when a process runs is known to a second, and as well as its answers are in time."""


@pytest.fixture
def kind() -> type[Recording]:
    """A recorder that looks around often."""
    return QuickRecording


def test_a_dead_worker_is_known_to_be_dead_within_the_time_that_is_promised() -> None:
    found = watch.HEARTBEATS_MISSED * CELERY_HEARTBEAT + watch.LOOK_SECONDS + watch.PING_SECONDS
    assert found < watch.LOST_WITHIN_SECONDS


async def test_a_killed_worker_loses_what_it_ran_and_its_queue_waits_for_the_rest(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)
    runs = application.send_task("stock.sleep", (300,))
    held = [application.send_task("stock.add", (number,)) for number in range(3)]
    later = application.send_task("stock.add", (9,), countdown=3000)
    await recording.reaches(runs.id, TaskState.STARTED)
    for each in (*held, later):
        await recording.reaches(each.id, TaskState.RECEIVED)
    worker.kill_group()
    lost = await recording.reaches(runs.id, TaskState.LOST)
    assert lost.transitions[-1].note == f"Its worker {W1} died while it ran."
    assert lost.redelivery_at is None
    await recording.worker_is(W1, WorkerState.LOST)
    for each in (*held, later):
        orphan = await recording.told(each.id, lambda task: task.redelivery_at)
        assert orphan.state is TaskState.RECEIVED
        assert abs((orphan.redelivery_at or 0) - (orphan.received_at or 0) - 3600) < 60

    async def told_of_the_queue() -> bool:
        assert recording.db is not None
        queue = await asyncio.to_thread(queues.get, recording.db, "celery")
        assert queue is not None
        assert (queue.unacked, queue.orphans) == (4, 4)
        return queue.redelivery_at is not None

    await eventually_async(told_of_the_queue)

    async def counted() -> bool:
        status = await recording.status()
        return status is not None and status.lost == 1

    await eventually_async(counted)


async def test_a_task_that_acknowledges_late_is_lost_and_comes_back_when_it_is_redelivered(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    settings = {"task_acks_late": True, "broker_transport_options": {"visibility_timeout": 20}}
    worker = await start_stock(recording.url, tmp_path, "-c", "1", settings=settings)
    processes.append(worker)
    await recording.looked_around()
    runs = application.send_task("stock.sleep", (3,))
    await recording.reaches(runs.id, TaskState.STARTED)
    worker.kill_group()
    lost = await recording.reaches(runs.id, TaskState.LOST)
    again = lost.redelivery_at
    assert again is not None, "nobody says when it comes again"
    assert abs(again - (lost.received_at or 0) - 20) < 5
    await recording.pause()
    await recording.start()
    await recording.healed("started")
    still = await recording.reaches(runs.id, TaskState.LOST)
    assert (still.redelivery_at, len(still.transitions)) == (again, len(lost.transitions))
    await clock_is_past(again + 0.5)
    processes.append(await start_stock(recording.url, tmp_path, "-c", "1", settings=settings))
    done = await recording.reaches(runs.id, TaskState.SUCCESS, 60)
    assert done.redelivery_at is None
    states = [step.state for step in done.transitions]
    assert states.count(TaskState.LOST) == 1
    assert states[-1] is TaskState.SUCCESS


async def test_a_worker_begun_anew_under_its_name_does_not_have_what_the_old_one_had(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)
    runs = application.send_task("stock.sleep", (300,))
    held = application.send_task("stock.sleep", (0.1,))
    started = await recording.reaches(runs.id, TaskState.STARTED)
    await recording.reaches(held.id, TaskState.RECEIVED)
    worker.kill_group()
    # Workers say in whole seconds since when they run, and on a busy machine they say it late.
    await clock_is_past((started.started_at or 0.0) + DISTINCT_SECONDS)
    processes.append(await start_stock(recording.url, tmp_path, "-c", "1"))
    lost = await recording.reaches(runs.id, TaskState.LOST)
    assert lost.transitions[-1].note in (
        f"Its worker {W1} was restarted while it ran.",
        f"Its worker {W1} died while it ran.",
    )
    orphan = await recording.told(held.id, lambda task: task.redelivery_at)
    assert orphan.state is TaskState.RECEIVED


async def test_a_frozen_worker_that_comes_back_brings_its_tasks_back(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)
    runs = application.send_task("stock.sleep", (30,))
    held = application.send_task("stock.add", (1,))
    await recording.reaches(held.id, TaskState.RECEIVED)
    await recording.reaches(runs.id, TaskState.STARTED)
    freeze(worker)
    await recording.reaches(runs.id, TaskState.LOST)
    await recording.told(held.id, lambda task: task.redelivery_at)
    thaw(worker)
    back = await recording.reaches(runs.id, TaskState.STARTED)
    assert back.transitions[-1].note == "found again"
    assert back.finished_at is None
    await recording.told(held.id, lambda task: task.redelivery_at is None)
    await recording.reaches(runs.id, TaskState.SUCCESS, 60)
    await recording.reaches(held.id, TaskState.SUCCESS)


async def test_of_two_workers_only_the_dead_one_loses_tasks(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    dies = await start_stock(recording.url, tmp_path, "-c", "1", "-Q", "one", name="w1")
    lives = await start_stock(recording.url, tmp_path, "-c", "1", "-Q", "two", name="w2")
    processes += [dies, lives]
    lost = application.send_task("stock.sleep", (300,), queue="one")
    kept = application.send_task("stock.sleep", (30,), queue="two")
    waits = application.send_task("stock.add", (1,), queue="three")
    await recording.reaches(lost.id, TaskState.STARTED)
    await recording.reaches(kept.id, TaskState.STARTED)
    dies.kill_group()
    await recording.reaches(lost.id, TaskState.LOST)
    done = await recording.reaches(kept.id, TaskState.SUCCESS, 60)
    assert TaskState.LOST not in [step.state for step in done.transitions]
    waiting = await recording.reaches(waits.id, TaskState.PENDING)
    assert [step.state for step in waiting.transitions] == [TaskState.PENDING]


async def test_a_worker_that_stops_gives_back_what_it_had_not_begun(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)
    runs = application.send_task("stock.sleep", (4,))
    held = application.send_task("stock.add", (1,))
    await recording.reaches(held.id, TaskState.RECEIVED)
    await recording.reaches(runs.id, TaskState.STARTED)
    await asyncio.to_thread(worker.stop)
    await recording.reaches(runs.id, TaskState.SUCCESS)
    back = await recording.reaches(held.id, TaskState.PENDING)
    given_back, found = back.transitions[-2:]
    assert given_back.note in (
        f"Its worker {W1} gave it back to its queue.",
        "Whoever had it is gone, and it is in its queue again.",
    )
    assert (found.state, found.note) == (TaskState.PENDING, "found again")
    status = await recording.status()
    assert status is not None
    assert status.lost == 0


async def test_what_a_worker_lets_go_of_and_nobody_has_is_lost(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    """SIGQUIT: Celery calls it RETRY, but an early acknowledged message is nowhere any more."""
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)
    runs = application.send_task("stock.sleep", (300,))
    await recording.reaches(runs.id, TaskState.STARTED)
    worker.signal(3)
    lost = await recording.reaches(runs.id, TaskState.LOST, 60)
    assert "shut down" in (lost.transitions[-1].note or "")
