"""The steps one by one: what waits, what is believed, what is told, what is kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.broker.subscription import Heard
from app.broker.transport import Transport
from app.domain.errors import StoreUnavailable
from app.domain.events import QueueMeasured, TaskFailed, TaskSent, TaskSucceeded, WorkerHeartbeat
from app.domain.tasks import Task, TaskState
from app.feed import lease as lease_of_feed
from app.feed.changes import Change, unpack_changes
from app.feed.codec import encode_summary
from app.feed.lease import Lease
from app.feed.stream import STREAM, connect_feed
from app.feed.writer import Feed
from app.recorder import announce, durable, fleet, keep
from app.recorder.announce import Announcer, pack
from app.recorder.believe import FORGOTTEN_SHARE, Beliefs
from app.recorder.durable import Durable
from app.recorder.figures import Figures
from app.recorder.fleet import ALIVE_SECONDS, LOAD_SECONDS, Fleet
from app.recorder.healing import HEAL_PAUSE_SECONDS, Healing, heal_pause
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.pipeline import Pipeline
from app.recorder.producers import Producers
from app.recorder.receive import Backlog, Dropped
from app.recorder.scene import SPANS_LIMIT, Unheard
from app.store import announcements, blind_windows, writer
from app.store import tasks as stored
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.writer import Batch
from tests.recorder.streaming import KEY, Producing
from tests.support import eventually_async

NOW = 1_795_372_577.0


def heard(count: int, size: int = 10, at: float = 1.0) -> list[Heard]:
    return [Heard(b"c", b"x" * size, at + number) for number in range(count)]


def sent(task_id: str, at: float = NOW) -> TaskSent:
    return TaskSent(task_id=task_id, at=at, heard_at=at, name="app.work")


def succeeded(task_id: str, at: float = NOW + 1) -> TaskSucceeded:
    return TaskSucceeded(task_id=task_id, at=at, heard_at=at, runtime=0.5)


def failed(task_id: str, at: float = NOW + 1) -> TaskFailed:
    return TaskFailed(task_id=task_id, at=at, heard_at=at, exception="ValueError()")


def test_messages_are_taken_in_the_order_in_which_they_came() -> None:
    backlog = Backlog()
    messages = heard(5)
    backlog.add(messages)
    assert backlog.take(3) + backlog.take(3) == messages
    assert backlog.filled.is_set()


def test_over_its_limit_a_backlog_drops_the_oldest_and_tells_which() -> None:
    backlog = Backlog(limit=3)
    backlog.add(heard(5))
    assert [message.heard_at for message in backlog.take(9)] == [3.0, 4.0, 5.0]
    assert backlog.take_dropped() == Dropped(2, 1.0, 2.0)
    assert backlog.take_dropped() is None


def test_a_backlog_is_bounded_by_bytes_too() -> None:
    backlog = Backlog(limit_bytes=100)
    backlog.add(heard(5, size=40))
    assert len(backlog) == 2
    backlog.take(2)
    backlog.add(heard(2, size=50))
    assert len(backlog) == 2


def test_a_task_is_changed_once_however_many_events_tell_of_it() -> None:
    beliefs = Beliefs()
    believed = beliefs.believe([sent("a"), sent("b"), succeeded("a")])
    assert [task.id for task in believed.tasks] == ["a", "b"]
    assert beliefs.believe([sent("b")]).tasks == []


def test_memory_is_bounded_also_when_values_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.recorder.believe.LONG_LIMIT", 100_000)
    beliefs = Beliefs()
    for number in range(50):
        long = replace(sent(f"t{number}"), args="[" + "1," * 5_000 + "1]")
        beliefs.believe([long, sent(f"short{number}")])
    assert [beliefs.find(f"t{number}") is not None for number in range(50)] == [False] * 41 + [
        True
    ] * 9
    assert all(beliefs.find(f"short{number}") for number in range(50))


def test_tasks_of_one_moment_have_different_places() -> None:
    beliefs = Beliefs()
    believed = beliefs.believe([sent(f"t{number}") for number in range(3000)])
    assert len({task.seq for task in believed.tasks}) == 3000


def test_only_tasks_out_of_memory_are_looked_up() -> None:
    beliefs = Beliefs()
    beliefs.believe([sent("a")])
    beliefs.load({"b": Task(id="b", seq=7)})
    assert beliefs.missing([sent("c"), sent("a"), sent("b"), sent("c")]) == ["c"]


def test_open_tasks_stay_in_memory_longest() -> None:
    beliefs = Beliefs(limit=3)
    beliefs.believe([sent("open")])
    for number in range(10):
        beliefs.believe([sent(f"t{number}"), succeeded(f"t{number}")])
    assert len(beliefs) == 3
    assert beliefs.find("open") is not None
    assert beliefs.find("t9") is not None
    assert beliefs.find("t0") is None


def test_memory_is_bounded_also_when_nothing_ends() -> None:
    beliefs = Beliefs(limit=100)
    beliefs.believe([sent(f"t{number}") for number in range(500)])
    assert len(beliefs) == 100 - 100 // FORGOTTEN_SHARE


def test_tasks_of_one_moment_have_places_of_their_own() -> None:
    beliefs = Beliefs()
    many = beliefs.believe([sent(f"t{number}") for number in range(5_000)]).tasks
    assert len({task.seq for task in many}) == 5_000
    assert max(task.seen_at for task in many) - NOW < 0.001


def test_a_task_that_ends_otherwise_than_was_believed_is_counted_once() -> None:
    beliefs = Beliefs()
    first = beliefs.believe([sent("a"), failed("a")]).tallies
    assert [(key.state, tally.count) for key, tally in first.items()] == [(TaskState.FAILURE, 1)]
    second = beliefs.believe([succeeded("a", NOW + 2)]).tallies
    counts = {key.state: (tally.count, len(tally.runtimes)) for key, tally in second.items()}
    assert counts == {TaskState.FAILURE: (-1, 0), TaskState.SUCCESS: (1, 1)}
    assert beliefs.believe([succeeded("a", NOW + 2)]).tallies == {}


def test_gaps_that_do_not_end_are_healed_ever_more_seldom_and_a_single_one_at_once() -> None:
    pause, waited = HEAL_PAUSE_SECONDS, []
    for _ in range(6):
        pause = heal_pause(pause, since=pause)
        waited.append(pause)
    assert waited == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert heal_pause(60.0, since=121.0) == HEAL_PAUSE_SECONDS


def test_windows_of_one_trouble_are_looked_at_as_one_span() -> None:
    healing = Healing().also_of(
        BlindWindow(began_at=NOW + at, ended_at=NOW + at + 10, cause="dropped", source=f"p{at}")
        for at in (100, 0, 4, 13, 500)
    )
    assert healing.spans(2.0) == [
        (NOW - 2, NOW + 25),
        (NOW + 98, NOW + 112),
        (NOW + 498, NOW + 512),
    ]


def test_a_gap_that_grows_is_one_span_in_which_something_can_have_gone_unheard() -> None:
    unheard = Unheard()
    unheard.add(BlindWindow(began_at=NOW - 100, ended_at=NOW - 50, cause="restarted"))
    for seconds in range(2 * SPANS_LIMIT):
        unheard.add(BlindWindow(began_at=NOW, ended_at=NOW + seconds, cause="dropped"))
    assert unheard.since(NOW - 200) == (NOW - 100, NOW + 2 * SPANS_LIMIT - 1)
    assert unheard.forgot_since(NOW - 60)
    assert not unheard.forgot_since(NOW - 40)


def beat(worker: str = "w", **more: object) -> WorkerHeartbeat:
    fields: dict[str, object] = {"worker": worker, "at": NOW, "heard_at": NOW, "frequency": 2.0}
    return WorkerHeartbeat(**{**fields, **more})  # type: ignore[arg-type]


def test_counts_of_a_worker_are_told_now_and_then_and_its_state_at_once() -> None:
    some = Fleet([], [])
    some.hear(beat(processed=1))
    assert [worker.processed for worker in some.take_workers(NOW)] == [1]
    some.hear(beat(processed=2))
    assert some.take_workers(NOW + LOAD_SECONDS - 1) == []
    assert [worker.processed for worker in some.take_workers(NOW + LOAD_SECONDS)] == [2]
    some.hear(beat(processed=2, heard_at=NOW + 9))
    assert some.take_workers(NOW + LOAD_SECONDS + ALIVE_SECONDS - 1) == []
    some.hear(beat(processed=2, software="py-celery 9"))
    assert len(some.take_workers(NOW + LOAD_SECONDS + 1)) == 1


def test_made_up_workers_and_queues_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FLEET_LIMIT", 3)
    some = Fleet([], [])
    assert [some.hear(beat(f"w{number}")) for number in range(5)] == [True] * 3 + [False] * 2
    queues = [
        QueueMeasured(queue=f"q{number}", at=NOW, heard_at=NOW, depths=()) for number in range(4)
    ]
    assert [some.measure(queue, {}) for queue in queues] == [True] * 3 + [False]


def test_a_queue_that_does_not_change_is_told_once_in_a_while() -> None:
    fleet = Fleet([], [])
    told = []
    for at in (100.0, 102.0, 104.0, 100.0 + ALIVE_SECONDS, 102.0 + ALIVE_SECONDS):
        event = QueueMeasured(queue="q", at=at, heard_at=at, depths=((0, 5),))
        fleet.measure(event, {})
        told.append([queue.measured_at for queue in fleet.take_queues()])

    assert told == [[100.0], [], [], [100.0 + ALIVE_SECONDS], []]


def test_a_queue_knows_since_when_its_oldest_message_waits() -> None:
    some = Fleet([], [])
    measured = QueueMeasured(
        queue="q", at=NOW, heard_at=NOW, depths=((0, 2),), head_ids=("young", "old", "unknown")
    )
    young, old = Task(id="young", sent_at=NOW - 1), Task(id="old", sent_at=NOW - 9)
    some.measure(measured, {"young": young, "old": old})
    [queue] = some.take_queues()
    assert (queue.oldest_id, queue.oldest_sent_at) == ("old", NOW - 9)


def test_a_worker_without_heartbeats_counts_as_silent_much_later() -> None:
    some = Fleet([], [])
    some.hear(beat("beats"))
    some.hear(beat("mute", frequency=None))
    assert some.silent(NOW + 7, 3, 90) == ["beats"]
    assert some.silent(NOW + 91, 3, 90) == ["beats", "mute"]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_feed(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def keeper(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Keeper]:
    monkeypatch.setattr(lease_of_feed, "LEASE_SECONDS", 600.0)  # nobody renews it here
    lease = Lease(redis)
    await lease.take()
    db = Database.open(f"sqlite:///{tmp_path}/umbel.db")
    keeper = Keeper(db, lease)
    await keeper.claim("test")
    yield keeper
    keeper.close()
    db.close()


async def test_a_store_that_fails_is_tried_until_it_works(keeper: Keeper) -> None:
    tries: list[float] = []

    def commit() -> str:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise StoreUnavailable("disk full")
        return "kept"

    keeping = asyncio.create_task(keeper.insist(commit))

    async def failing() -> bool:
        return keeper.failing == "disk full"

    await eventually_async(failing, every=0.005)
    assert await keeping == "kept"
    assert keeper.failing == ""


async def test_nothing_is_written_once_another_has_the_lease(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "RENEW_SECONDS", 0.01)
    await redis.set("umbel:lease", "another")
    await keeper.renew()
    assert keeper.lost
    with pytest.raises(LeaseLost):
        await keeper.keep(Batch())


async def commit_and_add(announcer: Announcer, keeper: Keeper, count: int) -> list[Change]:
    ids = announcer.feed.give_ids(count)
    changes = [Change(feed_id, "stats", b'"' + b"x" * 100 + b'"') for feed_id in ids]
    await keeper.keep(Batch(announcement=pack(changes, ())))
    announcer.add(changes)
    return changes


async def test_the_outbox_is_emptied_but_for_the_last(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "FORGET_SECONDS", 0.0)
    announcer = Announcer(Feed(redis), keeper)
    await announcer.open()
    running = asyncio.create_task(announcer.run())
    for _ in range(5):
        last = await commit_and_add(announcer, keeper, 3)
    await announcer.flush()

    async def emptied() -> bool:
        left = announcements.pending(keeper.db)
        return [each.last_id for each in left] == [last[-1].id]

    await eventually_async(emptied)
    running.cancel()
    assert await redis.xlen(STREAM) == 15


async def test_what_was_committed_and_not_announced_is_announced_as_it_is_by_then(
    keeper: Keeper, redis: Redis
) -> None:
    died = Announcer(Feed(redis), keeper)
    await died.open()
    believed = Beliefs().believe([sent("a"), sent("gone"), succeeded("a")])
    ids = died.feed.give_ids(3)
    changes = [
        Change(ids[0], "task", b"{}"),
        Change(ids[1], "task", b"{}"),
        Change(ids[2], "queue", b'{"name":"celery"}'),
    ]
    told = pack(changes, ["a", "gone"])
    here = [task for task in believed.tasks if task.id == "a"]
    await keeper.keep(Batch(tasks=here, announcement=told))
    successor = Announcer(Feed(redis), keeper)
    await successor.open()
    running = asyncio.create_task(successor.run())
    await successor.flush()
    running.cancel()
    summary = encode_summary(stored.get_many(keeper.db, ["a"])["a"])
    assert [(id.decode(), said[b"d"]) for id, said in await redis.xrange(STREAM)] == [
        (ids[0], summary),
        (ids[2], b'{"name":"celery"}'),
    ]


async def test_a_feed_emptied_while_no_recorder_ran_is_noticed_at_the_start(
    keeper: Keeper, redis: Redis
) -> None:
    first = Announcer(Feed(redis), keeper)
    await first.open()
    running = asyncio.create_task(first.run())
    await commit_and_add(first, keeper, 2)
    await first.flush()
    running.cancel()
    last = await commit_and_add(first, keeper, 1)
    await redis.xadd(STREAM, {"k": "stats", "d": "{}"}, id="9999999999999-0")
    second = Announcer(Feed(redis), keeper)
    await second.open()
    running = asyncio.create_task(second.run())

    async def gap() -> bool:
        return second.gap

    await eventually_async(gap)
    running.cancel()
    assert not await redis.xrange(STREAM, last[0].id, last[0].id)


async def test_too_much_that_waits_for_redis_becomes_one_reset(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "OUTBOX_BYTES", 1000)
    announcer = Announcer(Feed(redis), keeper)
    await announcer.open()
    for _ in range(4):
        await commit_and_add(announcer, keeper, 3)
    assert announcer.gap


async def test_what_came_after_too_much_is_announced_though_the_feed_was_slow(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answering = asyncio.Event(), asyncio.Event()

    class Slow(Feed):
        async def announce(self, changes: Sequence[Change]) -> bool:
            asked.set()
            await answering.wait()
            return await super().announce(changes)

    monkeypatch.setattr(announce, "OUTBOX_BYTES", 1000)
    announcer = Announcer(Slow(redis), keeper)
    await announcer.open()
    running = asyncio.create_task(announcer.run())
    await commit_and_add(announcer, keeper, 3)
    await asked.wait()
    for _ in range(3):
        await commit_and_add(announcer, keeper, 3)
    assert announcer.gap
    after = await commit_and_add(announcer, keeper, 3)
    answering.set()
    await announcer.flush()
    running.cancel()
    announced = {entry_id.decode() for entry_id, _ in await redis.xrange(STREAM)}
    assert {change.id for change in after} <= announced


async def test_a_value_that_the_store_chokes_on_costs_its_own_task_alone(
    keeper: Keeper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(db: Database, batch: Batch) -> None:
        if any(task.id == "poison" for task in batch.tasks):
            raise OverflowError("too large for a column")
        writer.commit(db, batch)

    monkeypatch.setattr(keep, "commit", commit)
    figures = Figures()
    announcer = Announcer(Feed(redis), keeper)
    await announcer.open()
    announcer.gap = True
    transport = Transport.from_options("redis://127.0.0.1:1/0")
    none = Fleet([], [])
    pipeline = Pipeline(transport, Backlog(), Beliefs(), none, keeper, announcer, figures)
    kept = pipeline.tell([sent("a"), sent("poison"), sent("b")])
    await pipeline.tick()
    await kept
    assert set(stored.get_many(keeper.db, ["a", "b", "poison"])) == {"a", "b"}
    [first, *_] = announcements.pending(keeper.db)
    assert unpack_changes(first.payload)[0].kind == "reset", "what told readers so went with it"
    assert figures.malformed == {"could not be kept": 1}


async def test_messages_dropped_tick_after_tick_are_one_blind_window(
    keeper: Keeper, redis: Redis
) -> None:
    backlog, figures = Backlog(limit=1), Figures()
    transport = Transport.from_options("redis://127.0.0.1:1/0")
    announcer, none = Announcer(Feed(redis), keeper), Fleet([], [])
    pipeline = Pipeline(transport, backlog, Beliefs(), none, keeper, announcer, figures)
    for at in (NOW, NOW + 20, NOW + 40, NOW + 400):
        backlog.add(heard(3, at=at))
        await pipeline.tick()
    later, first = blind_windows.latest(keeper.db)
    assert (first.began_at, first.ended_at) == (NOW, NOW + 41)
    assert first.note == "6 messages came faster than they could be kept"
    assert (later.began_at, later.ended_at) == (NOW + 400, NOW + 401)
    assert (figures.dropped, figures.blind_windows) == (8, 2)


async def test_a_stream_that_has_more_is_behind_though_all_that_was_read_is_believed(
    keeper: Keeper, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "AHEAD_BYTES", 1)
    transport = Transport.from_options(redis_url)
    for number in range(200):
        await Producing(redis, transport).say({"type": "task-sent", "uuid": f"t{number}"})
    asked_at = time.time()
    reader = Durable(redis, KEY, None, Producers({}))
    announcer = Announcer(Feed(redis), keeper)
    pipeline = Pipeline(
        transport, Backlog(), Beliefs(), Fleet([], []), keeper, announcer, Figures()
    )
    pipeline.follow(reader)
    assert pipeline.behind(asked_at)
    reading = asyncio.create_task(reader.run())

    async def read_some() -> bool:
        return len(reader) > 0

    async def caught_up() -> bool:
        return not pipeline.behind(asked_at)

    taken = 0
    while taken < 200:
        await eventually_async(read_some)
        entries, _ = reader.take(1 << 30)
        reader.passed()
        taken += len(entries)
        assert pipeline.behind(asked_at) or taken == 200
    await eventually_async(caught_up)
    reading.cancel()
