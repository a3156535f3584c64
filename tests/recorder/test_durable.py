"""Durable events through the whole recorder: none lost, none doubled, every loss told."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.feed.stream import connect_feed
from app.recorder.durable import Durable
from app.recorder.producers import Producers
from app.store import blind_windows, figures, positions, producers, workers
from app.store.blind_windows import STREAM, BlindWindow
from tests.recorder.streaming import KEY, Producing, heartbeat
from tests.recorder.support import Recording, life
from tests.support import eventually_async


async def restart(recording: Recording) -> None:
    await pause(recording)
    await recording.start()


async def pause(recording: Recording) -> None:
    recording.recorder.stop()
    assert recording.running is not None
    await recording.running
    recording.running = None


def windows(recording: Recording, *, of_events: bool = False) -> list[BlindWindow]:
    assert recording.db is not None
    found = blind_windows.latest(recording.db)
    return [window for window in found if of_events or window.source != "events"]


async def healed(recording: Recording, cause: str) -> BlindWindow:
    async def found() -> BlindWindow:
        every = [window for window in windows(recording) if window.cause == cause]
        assert every, f"no window is called {cause}: {windows(recording)}"
        assert every[0].healed_at is not None
        return every[0]

    return await eventually_async(found)


def counted(recording: Recording, at: float) -> int:
    """Ended tasks that the figures have."""
    assert recording.db is not None
    return figures.total(recording.db, at - 600, at + 600).count


async def test_what_is_said_while_nobody_listens_is_read_later(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    await pause(recording)
    for number in range(2, 50):
        await producing.say(*life(f"t{number}", time.time()))
    await recording.start()
    await recording.reaches("t49", TaskState.SUCCESS)
    assert len(await recording.tasks()) == 49
    assert windows(recording) == []


async def test_a_first_start_reads_what_was_said_before(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await pause(recording)
    assert recording.db is not None
    assert positions.get(recording.db, KEY) is None
    producing.drop(500)  # trimmed away long ago: nobody can know of it, nor need to
    await producing.say(*life("t1", time.time()))
    await recording.start()
    await recording.reaches("t1", TaskState.SUCCESS)
    assert windows(recording) == []


async def test_what_is_on_the_stream_is_heard_once(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport, publishes=True)
    await producing.say(heartbeat(time.time()))

    async def known() -> bool:
        status = await recording.status()
        return status is not None and status.durable_producers == 1 and status.events >= 1

    await eventually_async(known)
    await asyncio.sleep(0.2)  # the published twin of the first message is on its way still
    before = await recording.status()
    now = time.time()
    for number in range(20):
        await producing.say(*life(f"t{number}", now))
    await recording.reaches("t19", TaskState.SUCCESS)

    async def all_said() -> bool:
        status = await recording.status()
        assert status is not None
        assert before is not None
        return status.events - before.events >= 80

    await eventually_async(all_said)
    status = await recording.status()
    assert status is not None
    assert before is not None
    assert status.events - before.events == 80
    assert status.stock_workers == 0
    assert not status.malformed
    assert counted(recording, now) == 20


async def test_a_worker_with_another_stream_is_heard_as_it_publishes(
    recording: Recording,
) -> None:
    elsewhere = Producing(recording.redis, recording.transport, publishes=True, key="elsewhere")
    await elsewhere.say(heartbeat(time.time()), *life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)

    async def told() -> bool:
        status = await recording.status()
        return status is not None and status.stock_workers == 1

    await eventually_async(told)


async def test_a_worker_without_the_plugin_beside_one_with_it(recording: Recording) -> None:
    durable = Producing(recording.redis, recording.transport, publishes=True)
    now = time.time()
    await durable.say(heartbeat(now), *life("t1", now))
    await recording.say({"hostname": "w2@test", **heartbeat(now)}, *life("t2", now))
    await recording.reaches("t1", TaskState.SUCCESS)
    await recording.reaches("t2", TaskState.SUCCESS)

    async def told() -> bool:
        status = await recording.status()
        return status is not None and (status.durable_producers, status.stock_workers) == (1, 1)

    await eventually_async(told)


async def test_hostile_entries_are_counted_and_stop_nothing(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    strange: list[dict[Any, Any]] = [
        {"x": "y"},
        {"p": "a|1|2", "n": 1, "e": "["},
        {"p": "a|1|2", "n": "-5", "e": "[]"},
        {"p": "\x00" * 100_000, "n": 1, "e": '[{"type": "task-received"}]'},
        {"p": "b|1|2", "n": 9_999_999, "e": "[5, null, []]"},
    ]
    for fields in strange * 10:
        await recording.redis.xadd(KEY, fields)
    await producing.say(*life("good", time.time()))
    await recording.reaches("good", TaskState.SUCCESS)

    async def counts() -> bool:
        status = await recording.status()
        return status is not None and sum(status.malformed.values()) >= 30

    await eventually_async(counts)


async def test_a_gap_in_the_numbers_is_a_blind_window_and_is_healed(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say(heartbeat(time.time()))
    producing.drop(7)
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    window = await healed(recording, "dropped")
    assert window.source == producing.name
    assert window.began_at <= (window.ended_at or 0) <= time.time()
    assert window.note is not None
    assert window.note.startswith("7 events")

    async def told() -> bool:
        status = await recording.status()
        return status is not None and status.producer_dropped == 7

    await eventually_async(told)


async def test_gaps_that_follow_each_other_are_one_window(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say(heartbeat(time.time()))
    for number in range(20):
        producing.drop(2)
        await producing.say(*life(f"t{number}", time.time()))
    await recording.reaches("t19", TaskState.SUCCESS)
    window = await healed(recording, "dropped")
    assert window.note is not None
    assert window.note.startswith("40 events")
    assert len(windows(recording)) == 1


async def test_a_gap_over_a_restart_is_noticed_and_none_is_made_up(recording: Recording) -> None:
    one = Producing(recording.redis, recording.transport, "w1@test")
    two = Producing(recording.redis, recording.transport, "w2@test")
    for producing in (one, two):
        await producing.say(heartbeat(time.time()))
    await one.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    await pause(recording)
    one.drop(3)
    for producing in (one, two):
        await producing.say(heartbeat(time.time()))
    await recording.start()
    window = await healed(recording, "dropped")
    assert window.source == one.name
    assert len(windows(recording)) == 1


async def test_a_producer_that_lost_its_first_events_says_so(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    producing.drop(12)
    fields = producing.fields(13, [heartbeat(time.time(), hostname="w1@test")])
    await recording.redis.xadd(KEY, {**fields, "d": 12})
    window = await healed(recording, "dropped")
    assert window.source == producing.name


async def test_an_entry_written_twice_is_heard_once(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    events = life("t1", time.time())
    await producing.say(*events)
    await recording.redis.xadd(KEY, producing.fields(1, events))
    await recording.redis.xadd(KEY, producing.fields(3, [*events[2:], *life("t2", time.time())]))
    await recording.reaches("t2", TaskState.SUCCESS)

    async def told() -> bool:
        status = await recording.status()
        return status is not None and status.events >= 8

    await eventually_async(told)
    status = await recording.status()
    assert status is not None
    assert status.events == 8
    assert windows(recording) == []


async def test_a_stream_cut_off_before_it_was_read_is_a_blind_window(
    recording: Recording,
) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    await pause(recording)
    for number in range(2, 20):
        await producing.say(*life(f"t{number}", time.time()))
    await recording.redis.xtrim(KEY, maxlen=5, approximate=False)
    await recording.start()
    await recording.reaches("t19", TaskState.SUCCESS)
    window = await healed(recording, "forgotten")
    assert window.source == STREAM
    assert [each.cause for each in windows(recording)] == ["forgotten"]
    assert len(await recording.tasks()) == 6


@pytest.mark.parametrize("way", ["flushall", "delete", "clock back"])
async def test_a_stream_that_is_gone_is_a_blind_window_and_the_next_is_read(
    recording: Recording, way: str
) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    if way == "flushall":
        await recording.redis.flushall()
        await eventually_async(recording.live)
    else:
        await recording.redis.delete(KEY)
    fields = producing.fields(5, [{"hostname": "w1@test", **e} for e in life("t2", time.time())])
    await recording.redis.xadd(KEY, fields, id="5-1" if way == "clock back" else "*")
    await recording.reaches("t2", TaskState.SUCCESS)
    window = await healed(recording, "forgotten")
    assert window.source == STREAM
    producing.number = 9
    id = await producing.say(*life("t3", time.time())) if way != "clock back" else "5-2"
    if way == "clock back":
        fields = producing.fields(9, [{"hostname": "w1@test", **e} for e in life("t3", 1e9)])
        await recording.redis.xadd(KEY, fields, id=id)
    await recording.reaches("t3", TaskState.SUCCESS)
    assert len(windows(recording)) == 1

    async def moved() -> bool:
        assert recording.db is not None
        return positions.get(recording.db, KEY) == id

    await eventually_async(moved)


async def test_a_key_of_another_kind_is_said_and_what_is_published_is_heard(
    recording: Recording,
) -> None:
    producing = Producing(recording.redis, recording.transport, publishes=True)
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    await recording.redis.delete(KEY)
    await recording.redis.set(KEY, "somebody's")

    async def said() -> bool:
        status = await recording.status()
        return status is not None and not status.live and KEY in status.reason

    await eventually_async(said)
    elsewhere = Producing(recording.redis, recording.transport, publishes=True, key="elsewhere")
    await elsewhere.say(*life("t2", time.time()))
    await recording.reaches("t2", TaskState.SUCCESS)
    await recording.redis.delete(KEY)
    await eventually_async(recording.live)
    await producing.say(*life("t3", time.time()))
    await recording.reaches("t3", TaskState.SUCCESS)
    assert (await healed(recording, "forgotten")).source == STREAM


async def test_a_backlog_of_the_past_makes_no_living_worker_dead(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await producing.say({"type": "worker-online", "timestamp": time.time(), "freq": 2.0})
    await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    now = time.time()
    await recording.say({**heartbeat(now), "hostname": "w1@test"})
    long_ago = f"{int((now - 3600) * 1000)}-0"
    await pause(recording)
    await recording.redis.delete(KEY)
    offline = {"type": "worker-offline", "timestamp": now - 3600, "hostname": "w1@test"}
    await recording.redis.xadd(KEY, producing.fields(producing.number, [offline]), id=long_ago)
    await recording.start()
    await producing.say()
    assert recording.db is not None
    [worker] = workers.list_all(recording.db)
    assert worker.state is WorkerState.ONLINE


async def test_old_signs_of_life_are_no_life(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    await pause(recording)
    long_ago = f"{int((time.time() - 3600) * 1000)}-0"
    told = [{**heartbeat(time.time() - 3600), "hostname": "w1@test"}]
    await recording.redis.xadd(KEY, producing.fields(1, told), id=long_ago)
    await recording.start()

    async def lost() -> bool:
        assert recording.db is not None
        [worker] = workers.list_all(recording.db)
        return worker.state is WorkerState.LOST

    await eventually_async(lost)


async def test_numbers_are_kept_with_the_position(recording: Recording) -> None:
    producing = Producing(recording.redis, recording.transport)
    id = await producing.say(*life("t1", time.time()))
    await recording.reaches("t1", TaskState.SUCCESS)
    assert recording.db is not None
    assert positions.get(recording.db, KEY) == id
    [(source, kept)] = producers.all_known(recording.db).items()
    assert source == f"producer:{producing.name}"
    assert kept.startswith("5 ")


async def test_a_busy_stream_ends_as_many_tasks_as_it_told_of(recording: Recording) -> None:
    workers_ = [Producing(recording.redis, recording.transport, f"w{n}@test") for n in range(4)]
    now = time.time()
    for number in range(500):
        await workers_[number % 4].say(*life(f"t{number}", now))
    await restart(recording)
    for number in range(500):
        await recording.reaches(f"t{number}", TaskState.SUCCESS)
    states = Counter(task.state for task in await recording.tasks())
    assert states == {TaskState.SUCCESS: 500}
    assert counted(recording, now) == 500
    assert windows(recording) == []


async def test_a_stream_that_cannot_be_read_keeps_no_task_from_being_judged(
    redis_url: str,
) -> None:
    redis = connect_feed(redis_url)
    await redis.set(KEY, "somebody else's")
    durable = Durable(redis, KEY, None, Producers({}))
    reading = asyncio.create_task(durable.run())

    async def judged() -> bool:
        return not durable.unread(time.time())

    await eventually_async(judged)
    reading.cancel()
    await redis.aclose()
