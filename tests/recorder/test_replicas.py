"""Several recorders on one store: one is active, and another takes over whatever befalls it."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.broker.transport import Transport
from app.domain.errors import StoreUnavailable
from app.feed.lease import LEASE_KEY
from app.feed.replicas import read_replicas
from app.feed.stream import STREAM
from app.recorder import recorder as recorders
from app.store import blind_windows, fence
from app.store.database import Database
from tests.recorder.replicas import (
    TAKEOVER,
    Cable,
    Replicas,
    Talk,
    all_true,
    freeze,
    nothing_doubled,
    recorder_of,
)
from tests.recorder.support import Recording, life
from tests.support import PATIENCE, RedisServer, eventually_async


@pytest.fixture
async def recording(redis_url: str, tmp_path: Path) -> AsyncIterator[Recording]:
    """A broker and an empty store, and no recorder yet."""
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    recording.db = Database.open(recording.database_url)
    yield recording
    await recording.stop()


@pytest.fixture
async def replicas(recording: Recording, tmp_path: Path) -> AsyncIterator[Replicas]:
    found = Replicas(recording, tmp_path)
    yield found
    await asyncio.to_thread(found.stop)


@pytest.fixture
async def cable(redis_server: RedisServer) -> AsyncIterator[Cable]:
    cable = await Cable(redis_server.port).lay()
    yield cable
    await cable.remove()


FAULTS = ["killed", "frozen", "cut off"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_takes_over_in_time_and_the_old_one_does_no_harm_when_it_is_back(
    recording: Recording, replicas: Replicas, cable: Cable, fault: str
) -> None:
    first = replicas.start(cable.url)
    await replicas.leads(first)
    second = replicas.start()
    await replicas.stands_by(second)
    talk = Talk(recording)
    await asyncio.sleep(0.5)

    if fault == "killed":
        first.signal(signal.SIGKILL)
    elif fault == "frozen":
        await freeze(first.pid, recording)
    else:
        cable.pull()
    await replicas.leads(second, TAKEOVER)
    await asyncio.sleep(0.5)
    first.signal(signal.SIGCONT)
    cable.plug_in()
    if fault != "killed":
        await replicas.stands_by(first)
    ids = await talk.end()

    await all_true(recording, ids)
    await nothing_doubled(recording)
    assert (await replicas.leader()).pid == second.pid  # type: ignore[union-attr]
    assert len(ids) > 50


async def test_one_that_is_frozen_again_and_again_takes_turns_with_the_other(
    recording: Recording, replicas: Replicas
) -> None:
    both = [replicas.start(), replicas.start()]
    await replicas.settled()
    talk = Talk(recording)
    for _ in range(3):
        active = await replicas.settled()
        [other] = [each for each in both if each is not active]
        await freeze(active.pid, recording)
        await replicas.leads(other)
        active.signal(signal.SIGCONT)
        await replicas.stands_by(active)
    ids = await talk.end()

    await all_true(recording, ids)
    await nothing_doubled(recording)
    assert all("Traceback" not in each.output() for each in both)


async def test_a_leader_that_stops_lets_the_next_one_go_on_at_once(
    recording: Recording, replicas: Replicas
) -> None:
    first = replicas.start()
    await replicas.leads(first)
    second = replicas.start()
    await replicas.stands_by(second)
    talk = Talk(recording)
    await asyncio.sleep(0.3)
    first.signal(signal.SIGTERM)
    await replicas.leads(second)
    ids = await talk.end()

    assert first.child is not None
    assert await asyncio.to_thread(first.child.wait, 30) == 0
    await all_true(recording, ids)
    await nothing_doubled(recording)
    for each in (first, second):
        assert "Traceback" not in each.output()
        assert "error" not in each.output()


async def test_a_redis_that_forgot_the_lease_leaves_one_leader(
    recording: Recording, replicas: Replicas
) -> None:
    for _ in range(3):
        replicas.start()
    await replicas.settled()
    for _ in range(5):
        await recording.redis.delete(LEASE_KEY)
        await asyncio.sleep(0.3)
    await replicas.settled()
    await recording.say(*life("t1", time.time()))
    assert recording.db is not None
    await all_true(recording, ["t1"])
    await nothing_doubled(recording)


async def test_twenty_that_start_at_once_on_nothing_make_one_leader(
    redis_url: str, tmp_path: Path
) -> None:
    recording = Recording(Transport.from_options(redis_url), tmp_path / "new" / "folder")
    replicas = Replicas(recording, tmp_path)
    try:
        started = [replicas.start() for _ in range(20)]

        async def settled() -> bool:
            assert all(each.running() for each in started)
            return len(await read_replicas(recording.redis)) == 20

        await eventually_async(settled, 120)
        await replicas.settled()
        recording.db = Database.open(recording.database_url)
        await recording.say(*life("t1", time.time()))
        await all_true(recording, ["t1"])
        for each in reversed(started):
            each.signal(signal.SIGTERM)
        for each in started:
            assert await replicas.ended(each) == 0, each.output()
            assert "Traceback" not in each.output()
            assert "error" not in each.output()
        assert not await recording.redis.exists(LEASE_KEY, "umbel:replicas", "umbel:recorder")
        assert await read_replicas(recording.redis) == []
    finally:
        await asyncio.to_thread(replicas.stop)
        await recording.stop()


async def test_two_feeds_on_one_store_take_turns_and_say_what_to_do(
    recording: Recording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(recorders, "CONTESTED_SECONDS", 0.5)
    other = RedisServer(tmp_path / "other").start()
    both = [recorder_of(recording), recorder_of(recording, other.url)]
    running = [asyncio.create_task(each.run()) for each in both]
    try:

        async def said() -> bool:
            assert not any(each.done() for each in running)
            return "the same UMBEL_REDIS_URL" in "".join(capsys.readouterr())

        await eventually_async(said)

        async def kept() -> bool:
            # What is said while one gives way to the other is heard by neither.
            await recording.say(*life("t1", time.time()))
            return await recording.task("t1") is not None

        await eventually_async(kept)
    finally:
        for each in both:
            each.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*running)
        other.stop()


async def test_one_that_another_superseded_is_elected_anew_and_claims_again(
    recording: Recording,
) -> None:
    await recording.start()
    db = recording.db
    assert db is not None
    claimed = await asyncio.to_thread(fence.claim, db, "one that was paused while it was elected")
    await recording.say(*life("t1", time.time()))

    async def again() -> bool:
        token = await asyncio.to_thread(fence.claim, db, "look")
        return token > claimed + 1

    await eventually_async(again)
    await eventually_async(recording.live)


async def test_a_feed_that_can_not_be_opened_is_tried_until_it_can(recording: Recording) -> None:
    await recording.redis.set(STREAM, "not a stream")
    recorder = recorder_of(recording)
    running = asyncio.create_task(recorder.run())
    try:

        async def claimed() -> bool:
            assert recording.db is not None
            with recording.db.reading() as connection:
                query = "SELECT count(*) FROM fence WHERE token > 1"
                return bool(connection.exec_driver_sql(query).scalar())

        await eventually_async(claimed)
        await recording.redis.delete(STREAM)
        await eventually_async(recording.live)
    finally:
        recorder.stop()
        async with asyncio.timeout(PATIENCE):
            await running


async def test_told_to_stop_it_does_not_wait_for_a_store_that_is_away(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> int:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(fence, "claim", unavailable)
    recorder = recorder_of(recording)
    running = asyncio.create_task(recorder.run())

    async def elected() -> bool:
        return bool(await recording.redis.exists(LEASE_KEY))

    await eventually_async(elected)
    recorder.stop()
    async with asyncio.timeout(PATIENCE):
        await running
    assert not await recording.redis.exists(LEASE_KEY)


async def test_the_lease_is_kept_however_long_the_store_takes(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, away = fence.claim, True

    def claim_when_back(db: Database, holder: str) -> int:
        if away:
            raise StoreUnavailable("disk full")
        return claim(db, holder)

    monkeypatch.setattr(fence, "claim", claim_when_back)
    recorder = recorder_of(recording)
    running = asyncio.create_task(recorder.run())
    try:

        async def renewed() -> bool:
            holders.add(await recording.redis.get(LEASE_KEY))
            return recorder._lease.free_in == 0.0 and len(holders - {None}) == 1

        holders: set[bytes | None] = set()
        await eventually_async(renewed)
        await asyncio.sleep(4.0)  # longer than a lease
        assert await recording.redis.get(LEASE_KEY) in holders - {None}
        away = False
        await eventually_async(recording.live)
    finally:
        recorder.stop()
        async with asyncio.timeout(PATIENCE):
            await running
    assert recording.db is not None
    assert blind_windows.latest(recording.db) == []
