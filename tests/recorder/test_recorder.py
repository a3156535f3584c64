"""The whole recorder on a real Redis: what was published is kept, and announced as it is kept."""

import asyncio
import json
import signal
import time
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest

from app.broker.publish import Publisher, Submission
from app.broker.subscription import Heard
from app.broker.transport import Transport
from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.feed.changes import id_order, unpack_changes
from app.feed.codec import encode_summary
from app.feed.fleet import decode_queue, decode_worker
from app.store import announcements, blind_windows, figures, queues, workers
from app.store.database import Database
from tests.recorded import load, recordings, task_ids
from tests.recorder.support import Recording, event_message, life, start_recorder
from tests.support import RedisServer, eventually_async

ENDS = {
    "succeeds": TaskState.SUCCESS,
    "fails": TaskState.FAILURE,
    "retries": TaskState.SUCCESS,
    "progresses": TaskState.SUCCESS,
    "waits": TaskState.SUCCESS,
    "expires": TaskState.REVOKED,
    "prioritized": TaskState.SUCCESS,
    "revoked": TaskState.REVOKED,
}


@pytest.mark.parametrize("name", recordings())
async def test_what_real_workers_said_ends_in_the_true_states(
    recording: Recording, name: str
) -> None:
    await recording.publish(load(name))
    ids = task_ids(name)
    for what, state in ENDS.items():
        await recording.reaches(ids[what], state)
    added = await recording.task(ids["succeeds"])
    assert added is not None
    assert (added.name, added.result, added.queue) == ("stock.add", "5", "celery")


async def test_a_recorder_says_at_once_that_it_listens(redis_url: str, tmp_path: Path) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    with patch("app.recorder.session.STATUS_SECONDS", 3600.0):
        await recording.start()
        await recording.stop()


async def test_what_is_announced_last_is_what_is_kept(recording: Recording) -> None:
    await recording.publish(load("celery-5.7-prefork"))
    await recording.reaches(task_ids("celery-5.7-prefork")["waits"], TaskState.SUCCESS)

    async def same() -> bool:
        kept = {task.id: encode_summary(task) for task in await recording.tasks()}
        assert await recording.last_summaries() == kept
        return bool(kept)

    await eventually_async(same)


async def test_ids_of_the_feed_only_grow_over_a_restart(recording: Recording) -> None:
    now = time.time()
    await recording.say(*life("t1", now))
    await recording.reaches("t1", TaskState.SUCCESS)
    recording.recorder.stop()
    assert recording.running is not None
    await recording.running
    await recording.start()
    await recording.say(*life("t2", now))
    await recording.reaches("t2", TaskState.SUCCESS)
    ids = [change.id for change in await recording.announced()]
    assert ids == sorted(set(ids), key=id_order)


async def test_a_late_event_about_a_task_of_another_life_finds_it_in_the_store(
    recording: Recording,
) -> None:
    now = time.time()
    *before, ended = life("t1", now)
    await recording.say(*before)
    await recording.reaches("t1", TaskState.STARTED)
    recording.recorder.stop()
    assert recording.running is not None
    await recording.running
    await recording.start()
    await recording.say(ended)
    task = await recording.reaches("t1", TaskState.SUCCESS)
    assert task.name == "app.work"
    assert len(await recording.tasks()) == 1


async def test_finished_tasks_are_counted_by_the_minute_once(recording: Recording) -> None:
    now = time.time()
    for number in range(10):
        await recording.say(*life(f"t{number}", now))
        await recording.say(*life(f"t{number}", now))
    await recording.reaches("t9", TaskState.SUCCESS)
    assert recording.db is not None
    assert figures.total(recording.db, now - 120, now + 120).counts == {TaskState.SUCCESS: 10}


HOSTILE = [
    b"",
    b"\x00\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b'{"body": 5}',
    b'{"body": "!!!!", "content-type": "application/json"}',
    b"[" * 100_000,
    b'{"body": "' + b"A" * 100_000,
]
HOSTILE_EVENTS: list[dict[str, object]] = [
    {"type": "task-received"},
    {"type": "task-received", "uuid": 5, "timestamp": "x"},
    {"type": "task-succeeded", "uuid": "n", "timestamp": 1e400, "runtime": float("nan")},
    {"type": "task-sent", "uuid": "\ud800<script>", "timestamp": -1e300, "name": ["x"]},
    {"type": "worker-heartbeat", "hostname": None, "timestamp": {}},
    {"type": "task-" + "x" * 1000, "uuid": "y", "timestamp": 0},
]


async def test_a_flood_of_hostile_messages_is_counted_and_stops_nothing(
    recording: Recording,
) -> None:
    channel = recording.transport.event_channel("task-sent").encode()
    results = recording.transport.result_key("x").encode()
    strange = [Heard(at, payload, 0.0) for at in (channel, results) for payload in HOSTILE]
    strange += [event_message(recording.transport, event) for event in HOSTILE_EVENTS]
    for _ in range(20):
        await recording.publish(strange)
    await recording.say(*life("good", time.time()))
    await recording.reaches("good", TaskState.SUCCESS)

    async def counted() -> bool:
        status = await recording.status()
        return status is not None and sum(status.malformed.values()) >= 20 * len(HOSTILE)

    await eventually_async(counted)
    assert await recording.live()
    for change in await recording.announced():
        json.loads(change.data)


async def test_heartbeats_alone_do_not_fill_the_feed(recording: Recording) -> None:
    beat: dict[str, object] = {"type": "worker-heartbeat", "freq": 2.0, "active": 0}
    for number in range(30):
        await recording.say({**beat, "timestamp": time.time(), "processed": number})
        await asyncio.sleep(0.02)
    await recording.say(*life("last", time.time()))
    await recording.reaches("last", TaskState.SUCCESS)
    told = [change for change in await recording.announced() if change.kind == "worker"]
    assert 1 <= len(told) <= 3
    assert decode_worker(told[0].data).name == "w1@test"


async def test_a_worker_that_says_goodbye_is_announced_at_once(recording: Recording) -> None:
    await recording.say({"type": "worker-heartbeat", "freq": 2.0, "timestamp": time.time()})
    await recording.say({"type": "worker-offline", "timestamp": time.time()})

    async def offline() -> bool:
        changes = [each for each in await recording.announced() if each.kind == "worker"]
        return bool(changes) and decode_worker(changes[-1].data).state is WorkerState.OFFLINE

    await eventually_async(offline)


async def test_a_worker_that_falls_silent_is_lost_and_comes_back(recording: Recording) -> None:
    beat: dict[str, object] = {"type": "worker-heartbeat", "freq": 0.5}

    async def state(wanted: WorkerState) -> None:
        async def reached() -> bool:
            assert recording.db is not None
            found = await asyncio.to_thread(workers.get, recording.db, "w1@test")
            return found is not None and found.state is wanted

        await eventually_async(reached)

    await recording.say({**beat, "timestamp": time.time()})
    await state(WorkerState.LOST)
    await recording.say({**beat, "timestamp": time.time()})
    await state(WorkerState.ONLINE)


async def test_queues_are_measured_and_announced_when_they_change(recording: Recording) -> None:
    sent, *_ = life("q1", time.time() - 50)
    await recording.say(sent)
    message = {"headers": {"id": "q1", "task": "app.work"}, "body": "", "properties": {}}
    await recording.redis.lpush("celery", json.dumps(message))

    async def waiting() -> bool:
        assert recording.db is not None
        found = await asyncio.to_thread(queues.get, recording.db, "celery")
        return found is not None and found.waiting == 1 and found.oldest_id == "q1"

    await eventually_async(waiting)

    async def told() -> list[bytes]:
        return [change.data for change in await recording.announced() if change.kind == "queue"]

    assert decode_queue((await told())[-1]).waiting == 1

    async def nothing_more_is_told() -> bool:
        before = await told()
        await asyncio.sleep(2.5)  # longer than from one measurement to the next
        return await told() == before

    await eventually_async(nothing_more_is_told)


async def test_a_queue_that_nobody_reads_is_measured_once_a_task_was_sent_to_it(
    recording: Recording,
) -> None:
    publisher = Publisher(recording.transport)
    await publisher.open()
    await publisher.publish([Submission(name="app.work", queue="nobody-reads-this")])
    await publisher.close()

    async def measured() -> bool:
        assert recording.db is not None
        found = await asyncio.to_thread(queues.get, recording.db, "nobody-reads-this")
        return found is not None and (found.waiting, found.consumers) == (1, ())

    await eventually_async(measured)


async def test_what_was_sent_and_ended_before_the_first_start_is_found(
    redis_url: str, tmp_path: Path
) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    publisher = Publisher(recording.transport)
    await publisher.open()
    sent = (await publisher.publish([Submission(name="app.work", args="[1]")])).task_ids
    await publisher.close()
    for task_id in (sent[0], "of-another-producer"):
        result = {"task_id": task_id, "status": "SUCCESS", "result": 7, "traceback": None}
        await recording.redis.set(f"celery-task-meta-{task_id}", json.dumps(result))
    await recording.start()
    task = await recording.reaches(sent[0], TaskState.SUCCESS)
    other = await recording.reaches("of-another-producer", TaskState.SUCCESS)
    await recording.stop()

    assert (task.name, task.args, task.result) == ("app.work", "[1]", "7")
    assert (other.name, other.result) == (None, "7")


async def test_what_waits_on_the_broker_at_the_start_is_found(
    redis_url: str, tmp_path: Path
) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    body = "W1tdLCB7fSwge31d"  # [[], {}, {}]
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"id": "early", "task": "app.work", "lang": "py", "argsrepr": "()"},
        "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": "celery"}},
    }
    await recording.redis.lpush("celery", json.dumps(message))
    await recording.start()
    task = await recording.reaches("early", TaskState.PENDING)
    assert (task.name, task.queue) == ("app.work", "celery")
    assert await recording.redis.llen("celery") == 1
    await recording.stop()


async def test_a_restart_of_redis_is_a_blind_window_and_what_ended_in_it_is_healed(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path / "redis", durable=True).start()
    recording = Recording(Transport.from_options(server.url), tmp_path)
    await recording.start()
    try:
        *before, _ = life("t1", time.time())
        await recording.say(*before)
        await recording.reaches("t1", TaskState.STARTED)
        stored = {"status": "SUCCESS", "result": [1, 2], "task_id": "t1", "children": []}
        await recording.redis.set("celery-task-meta-t1", json.dumps(stored))  # heard by nobody
        server.stop()

        async def deaf() -> bool:
            return recording.running is not None and not server.answers()

        await eventually_async(deaf)
        server.start()
        task = await recording.reaches("t1", TaskState.SUCCESS)
        assert task.result == "[1, 2]" or task.result == "[1,2]"

        async def healed() -> bool:
            assert recording.db is not None
            [window] = blind_windows.latest(recording.db)
            assert window.cause == "restarted"
            assert window.ended_at is not None
            assert window.began_at < window.ended_at
            return window.healed_at is not None

        await eventually_async(healed)
        await recording.say(*life("t2", time.time()))
        await recording.reaches("t2", TaskState.SUCCESS)
    finally:
        await recording.stop()
        server.stop()


async def test_the_time_without_a_recorder_is_a_blind_window(recording: Recording) -> None:
    recording.recorder.stop()
    assert recording.running is not None
    await recording.running
    await recording.start()

    async def noted() -> bool:
        assert recording.db is not None
        return [window.cause for window in blind_windows.latest(recording.db)] == ["started"]

    await eventually_async(noted)


async def test_a_standby_takes_over_when_the_active_recorder_is_killed(
    recording: Recording, tmp_path: Path
) -> None:
    standby = start_recorder(recording, tmp_path / "standby.log")
    try:
        await eventually_async(lambda: _says(standby.output, "standing by"))
        recording.recorder.stop()
        assert recording.running is not None
        await recording.running
        await eventually_async(lambda: _says(standby.output, "listening"), 10)
        await recording.say(*life("t1", time.time()))
        await recording.reaches("t1", TaskState.SUCCESS)
    finally:
        assert standby.stop() == 0


async def test_a_killed_recorder_loses_and_doubles_no_change_of_the_feed(
    redis_url: str, tmp_path: Path
) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    for round_number in range(3):
        process = start_recorder(recording, tmp_path / f"recorder-{round_number}.log")
        await eventually_async(lambda p=process: _says(p.output, "looked around"))
        talking = asyncio.create_task(_talk(recording, round_number))
        await asyncio.sleep(0.15 + 0.1 * round_number)
        process.signal(signal.SIGKILL)
        process.kill_group()
        await talking
    db = recording.db = Database.open(recording.database_url)
    left = [change for each in announcements.pending(db) for change in unpack_changes(each.payload)]
    last = start_recorder(recording, tmp_path / "last.log")
    await eventually_async(lambda: _says(last.output, "looked around"))
    await recording.say(*life("end", time.time()))
    await recording.reaches("end", TaskState.SUCCESS)
    assert last.stop() == 0

    told = await recording.announced()
    times = Counter(change.id for change in told)
    assert all(count == 1 for count in times.values())
    assert {change.id for change in left} <= times.keys()
    assert not [change for change in told if change.kind == "reset"]
    summaries = await recording.last_summaries()
    kept = await recording.tasks()
    assert len(kept) > 30
    for task in kept:
        assert summaries[task.id] == encode_summary(task)
    await recording.stop()


async def test_told_to_stop_it_keeps_what_it_heard_and_leaves_nothing_behind(
    redis_url: str, tmp_path: Path
) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    process = start_recorder(recording, tmp_path / "recorder.log")
    await eventually_async(lambda: _says(process.output, "looked around"))
    for number in range(300):
        await recording.say(*life(f"t{number}", time.time()))
    assert process.stop() == 0, "and by itself: else it is killed"
    recording.db = Database.open(recording.database_url)
    assert len(await recording.tasks()) >= 299
    assert not await recording.redis.exists("umbel:lease", "umbel:recorder")
    await recording.stop()


async def _talk(recording: Recording, round_number: int) -> None:
    for number in range(150):
        await recording.say(*life(f"r{round_number}-{number}", time.time()))


async def _says(output: object, text: str) -> bool:
    assert callable(output)
    return text in output()


async def test_arguments_too_large_for_an_event_are_read_from_the_ledger(
    recording: Recording,
) -> None:
    publisher = Publisher(recording.transport)
    await publisher.open()
    args = json.dumps([["x" * 100] * 400])
    try:
        published = await publisher.publish([Submission(name="app.work", args=args)])
    finally:
        await publisher.close()

    async def known() -> bool:
        task = await recording.task(published.task_ids[0])
        return task is not None and task.args == args

    await eventually_async(known)
