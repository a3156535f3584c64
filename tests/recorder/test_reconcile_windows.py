"""What happened while nobody listened, and how much of it can be known afterwards."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import redis
from celery import Celery

from app.domain.tasks import TaskState
from app.store import blind_windows
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.writer import Batch, commit
from tests.recorder.healing import QuickRecording, producer, quick, start_stock
from tests.recorder.support import Recording, life
from tests.support import Process, RedisServer, eventually_async

DEEP = 60_000
"""Messages in a queue: more than a look reads, and more tasks than a round takes."""


@pytest.fixture
def kind() -> type[Recording]:
    """A recorder that looks around often."""
    return QuickRecording


def store_result(url: str, task_id: str, value: object, at: float) -> None:
    """A result that nobody heard of, as Celery keeps it."""
    done = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))
    document = {"status": "SUCCESS", "result": value, "date_done": done, "task_id": task_id}
    with redis.Redis.from_url(url) as sync:
        sync.set(f"celery-task-meta-{task_id}", json.dumps(document))


async def test_what_ran_while_the_recorder_was_down_is_known_or_said_not_to_be(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    known = application.send_task("stock.add", (1, 2)).id
    silent = application.send_task("stock.add", (1, 2), ignore_result=True).id
    for task_id in (known, silent):
        await recording.reaches(task_id, TaskState.PENDING)
    await recording.pause()
    new = application.send_task("stock.add", (3, 4)).id
    worker = await start_stock(recording.url, tmp_path, "-c", "1")
    processes.append(worker)

    async def ran() -> bool:
        return await recording.redis.exists(f"celery-task-meta-{new}") == 1

    await eventually_async(ran)
    await recording.start()
    assert (await recording.reaches(known, TaskState.SUCCESS)).result == "3"
    assert (await recording.reaches(new, TaskState.SUCCESS)).result == "7"
    lost = await recording.reaches(silent, TaskState.LOST)
    note = lost.transitions[-1].note or ""
    assert note.startswith("No worker has it, no queue holds it and no result is stored; it may")
    window = await recording.healed("started")
    assert (window.found, window.ended, window.lost) == (1, 2, 1)

    async def told() -> bool:
        status = await recording.status()
        return status is not None and (status.healing, status.lost) == (False, 1)

    await eventually_async(told)


async def test_a_task_taken_for_lost_comes_back_when_its_result_comes_to_light(
    recording: QuickRecording, application: Celery
) -> None:
    await recording.say(*life("t1", time.time())[:3])
    await recording.reaches("t1", TaskState.LOST)
    store_result(recording.url, "t1", 5, time.time())
    task = await recording.reaches("t1", TaskState.SUCCESS)
    assert task.result == "5"


async def test_a_value_that_was_stored_unheard_is_fetched(recording: QuickRecording) -> None:
    await recording.say(*life("t1", time.time()))
    assert (await recording.reaches("t1", TaskState.SUCCESS)).result is None
    store_result(recording.url, "t1", {"all": 7}, time.time())
    await recording.pause()
    await recording.start()
    task = await recording.told("t1", lambda task: task.result)
    assert json.loads(task.result or "") == {"all": 7}


async def test_a_redis_that_forgot_everything_takes_the_tasks_with_it(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis").start()
    recording = quick(server.url, tmp_path)
    application = producer(server.url)
    try:
        await recording.start()
        task_id = application.send_task("stock.add", (1,)).id
        await recording.reaches(task_id, TaskState.PENDING)
        server.stop()
        server.start()
        lost = await recording.reaches(task_id, TaskState.LOST, 60)
        assert (lost.transitions[-1].note or "").startswith("Redis began anew without its message")
        window = await recording.healed("restarted")
        assert window.lost == 1
    finally:
        application.close()
        await recording.stop()
        server.stop()


async def test_results_older_than_the_retention_stay_unheard(
    recording: QuickRecording, tmp_path: Path
) -> None:
    await recording.pause()
    recording.retention = 3600.0
    store_result(recording.url, "old", 1, time.time() - 7200)
    store_result(recording.url, "young", 1, time.time() - 60)
    await recording.start()
    await recording.reaches("young", TaskState.SUCCESS)
    window = await recording.healed("started")
    assert (window.found, window.ended) == (1, 1)
    assert await recording.task("old") is None


async def test_what_an_earlier_recorder_left_unhealed_is_healed(
    recording: QuickRecording,
) -> None:
    await recording.pause()
    assert recording.db is not None
    left = BlindWindow(began_at=time.time() - 100, ended_at=time.time() - 90, cause="overload")
    with recording.db.writing() as connection:
        blind_windows.put(connection, [left])
    await recording.start()
    window = await recording.healed("overload")
    assert window.lost == 0


async def test_a_deep_queue_is_said_to_be_unread_and_costs_a_page_or_two_a_round(
    recording: QuickRecording,
) -> None:
    headers = {"task": "a.b", "retries": 0}
    messages = [
        json.dumps({"body": "W10=", "headers": {"id": f"d{number}", **headers}, "properties": {}})
        for number in range(DEEP)
    ]
    with redis.Redis.from_url(recording.url) as sync:
        for start in range(0, DEEP, 5_000):
            sync.lpush("celery", *messages[start : start + 5_000])
    await recording.say(
        {
            "type": "task-sent",
            "uuid": "gone",
            "name": "a.b",
            "queue": "celery",
            "timestamp": time.time(),
        }
    )

    async def said() -> bool:
        status = await recording.status()
        assert status is not None
        assert status.unchecked_reason == "Its queue celery holds more messages than are read."
        return status.unchecked > 0

    await eventually_async(said)
    with redis.Redis.from_url(recording.url) as sync:
        sync.config_resetstat()
        await recording.looked_around()
        await recording.looked_around()
        calls = {name: said["calls"] for name, said in sync.info("commandstats").items()}
    assert calls["cmdstat_lrange"] <= 8 * 5
    assert "cmdstat_keys" not in calls
    task = await recording.task("gone")
    assert task is not None
    assert task.state is TaskState.PENDING


async def test_a_recorder_that_keeps_listening_gives_up_nothing_that_goes_on(
    recording: QuickRecording, application: Celery, processes: list[Process], tmp_path: Path
) -> None:
    """Rounds every second over tasks that wait, run, retry and end all the time."""
    processes.append(await start_stock(recording.url, tmp_path, "-c", "2"))

    def send() -> list[str]:
        return [
            application.send_task(name, args, countdown=delay).id
            for _ in range(15)
            for name, args, delay in (
                ("stock.sleep", (0.2,), None),
                ("stock.retry", (), None),
                ("stock.add", (1,), 2),
            )
        ]

    ids = await asyncio.to_thread(send)
    for task_id in ids:
        task = await recording.reaches(task_id, TaskState.SUCCESS, 60)
        assert TaskState.LOST not in [step.state for step in task.transitions], task.transitions


async def test_all_that_an_earlier_recorder_left_unhealed_is_healed(
    recording: QuickRecording,
) -> None:
    await recording.pause()
    now = time.time()
    left = [
        BlindWindow(began_at=now - 60, ended_at=now - 50, cause="dropped", source=f"w{number}|1|a")
        for number in range(300)
    ]
    db = Database.open(recording.database_url)
    commit(db, Batch(blind_windows=left))
    await recording.start()

    async def all_healed() -> bool:
        return blind_windows.by_cause(db)["dropped"] == (300, 0)

    await eventually_async(all_healed)
    db.close()
