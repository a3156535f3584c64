"""Real workers with the plugin: what they did while no recorder ran is known afterwards."""

import asyncio
from collections.abc import Callable

from app.broker.durable import stream_key
from app.broker.publish import Publisher, Submission
from app.domain.tasks import TaskState
from app.store import blind_windows
from tests.recorder.support import Recording
from tests.support import Process, eventually_async


async def test_tasks_that_ran_unheard_have_their_whole_story(
    recording: Recording, worker: Callable[..., Process]
) -> None:
    await asyncio.to_thread(worker, "-E")

    async def durable() -> bool:
        status = await recording.status()
        return status is not None and status.durable_producers > 0 and status.stock_workers == 0

    await eventually_async(durable)
    recording.recorder.stop()
    assert recording.running is not None
    await recording.running
    publisher = Publisher(recording.transport, stream_key(recording.transport))
    await publisher.open()
    add = Submission(name="worker.tasks.add", args="[2, 3]", priority=3)
    sent = await publisher.publish([add] * 20)

    async def done() -> bool:
        keys = [recording.transport.result_key(task_id) for task_id in sent.task_ids]
        return int(await recording.redis.exists(*keys)) == len(keys)

    await eventually_async(done)
    # Without results, queues or workers to ask, the stream alone can tell.
    keys = [recording.transport.result_key(task_id) for task_id in sent.task_ids]
    await recording.redis.delete(*keys)
    await recording.start()
    for task_id in sent.task_ids:
        task = await recording.reaches(task_id, TaskState.SUCCESS)
        assert task.whole
        assert (task.queue, task.priority, task.worker) == ("celery", 3, "w1@test")
    assert recording.db is not None
    assert {window.source for window in blind_windows.latest(recording.db)} <= {"events"}
    await publisher.close()
