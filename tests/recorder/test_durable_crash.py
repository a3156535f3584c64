"""A recorder killed at any moment while it reads durable events: nothing lost, nothing doubled."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from app.broker.transport import Transport
from app.domain.tasks import Task, TaskState
from app.feed.codec import decode_summary
from app.feed.lease import LEASE_KEY
from app.store import blind_windows, figures, tasks
from app.store.database import Database
from tests.recorder.streaming import Producing
from tests.recorder.support import Recording, life, start_recorder
from tests.support import eventually_async

SUCCESS = TaskState.SUCCESS
KILLS = 6
"""While tasks flow, for as long as they take."""
AT_ONCE = 20


@pytest.fixture
async def recording(redis_url: str, tmp_path: Path) -> AsyncIterator[Recording]:
    """A store and a Redis; the recorder is a process of the test's own."""
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    yield recording
    if recording.db is not None:
        recording.db.close()
    await recording.redis.aclose()


async def write(
    recording: Recording, producing: Producing, name: str, done: list[str], enough: asyncio.Event
) -> None:
    """Lives of tasks in entries that end anywhere, with pauses in which they are read."""
    chance = random.Random(name)
    for start in count(0, AT_ONCE):
        if enough.is_set():
            return
        ids = [f"{name}-{number}" for number in range(start, start + AT_ONCE)]
        events = [event for id in ids for event in life(id, time.time())]
        while events:
            some = chance.randint(1, 30)
            await producing.say(*events[:some])
            events = events[some:]
        done += ids
        await asyncio.sleep(chance.random())


async def kill_often(recording: Recording, folder: Path) -> None:
    """Kills one recorder after the other while it reads."""
    chance = random.Random(7)
    for number in range(KILLS):
        process = start_recorder(recording, folder / f"recorder-{number}.log")
        try:
            await eventually_async(partial(reads, recording, process.pid))
            await asyncio.sleep(chance.random())
        finally:
            process.kill_group()
        # What Redis does by itself after some seconds: nobody is there to renew it.
        await recording.redis.delete(LEASE_KEY)


async def reads(recording: Recording, pid: int) -> bool:
    status = await recording.status()
    return status is not None and status.recorder.endswith(f":{pid}") and status.events > 0


async def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    recording: Recording, tmp_path: Path
) -> None:
    began = time.time()
    done: list[str] = []
    producers = [
        Producing(recording.redis, recording.transport, f"w{number}@test", publishes=True)
        for number in range(4)
    ]
    enough = asyncio.Event()
    writing = [
        asyncio.create_task(write(recording, each, f"w{number}", done, enough))
        for number, each in enumerate(producers)
    ]
    await kill_often(recording, tmp_path)
    enough.set()
    await asyncio.gather(*writing)
    process = start_recorder(recording, tmp_path / "recorder-last.log")
    try:
        recording.db = Database.open(recording.database_url)
        await eventually_async(lambda: all_ended(recording, len(done)), patience=60)
        await eventually_async(lambda: all_told(recording, done))
    finally:
        process.stop()
    ended = figures.total(recording.db, began - 120, time.time() + 120)
    assert len(done) >= 100
    assert ended.counts == {TaskState.SUCCESS: len(done)}
    assert ended.whole == len(done)
    assert {window.source for window in blind_windows.latest(recording.db)} <= {"events"}
    for task_id in random.Random(1).sample(done, 100):
        task = tasks.get(recording.db, task_id)
        assert task is not None
        states = [each.state for each in task.transitions]
        assert states == [*dict.fromkeys(states)], states
        assert states[-1] is TaskState.SUCCESS


async def all_ended(recording: Recording, many: int) -> bool:
    assert recording.db is not None
    counts = await asyncio.to_thread(tasks.counts, recording.db)
    assert {state: count for state, count in counts.items() if count} == {TaskState.SUCCESS: many}
    return True


async def all_told(recording: Recording, done: list[str]) -> bool:
    """The feed tells each task's end, never anything after it, and under ids that only grow."""
    changes = await recording.announced()
    ids = [tuple(map(int, change.id.split("-"))) for change in changes]
    assert ids == sorted(set(ids))
    newest: dict[str, Task] = {}
    for change in changes:
        if change.kind == "task":
            task = decode_summary(change.data)
            before = newest.get(task.id)
            assert before is None or before != task, "told twice"
            assert before is None or task.state is SUCCESS or before.state is not SUCCESS
            newest[task.id] = task
    assert {task_id for task_id, task in newest.items() if task.state is SUCCESS} == set(done)
    return True
