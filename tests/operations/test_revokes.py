"""What is kept of a revoke, what is taken back, and what whoever waits for a result is told."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import TaskRevokedError

from app.broker import revokes, withdraw
from app.broker.connection import connect
from app.broker.durable import EventStream, read_entries, stream_key
from app.broker.message import Submission
from app.broker.mingle import answer_hello, hear_hellos
from app.broker.revokes import (
    REVOKES,
    REVOKES_ORDER,
    Revoke,
    forget,
    keep_and_send,
    prune_revokes,
    read_revokes,
    revoked_ids,
)
from app.broker.transport import Transport
from app.domain.errors import Conflict
from app.domain.events import TaskRevoked
from app.domain.tasks import Task, TaskState
from tests.operations.conftest import House
from tests.support import Process, end, eventually

CELERYS_OWN = pytest.mark.filterwarnings("ignore:Call to deprecated setex")
ADD = Submission(name="worker.tasks.add", args="[2, 3]")


async def kept(house: House, after: float = 0.0) -> list[Revoke]:
    transport = Transport.from_options(house.url)
    redis = connect(house.url)
    found = [one async for page in read_revokes(redis, transport, after) for one in page]
    await redis.aclose()
    return found


@pytest.fixture
def app(redis_url: str) -> "Iterator[Celery[Any]]":
    """Celery's own client, which puts nobody's messages back."""
    app: Celery[Any] = Celery("client", broker=redis_url, set_as_current=False)
    app.conf.broker_transport_options = {"unacked_restore_limit": 0}
    yield app
    app.close()


@pytest.fixture
def results(redis_url: str) -> "Iterator[Celery[Any]]":
    """Who waits for results."""
    app: Celery[Any] = Celery("results", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.result_backend_thread_safe = True  # one for the thread that waits, and for this one
    yield app
    end(app)


def get(results: "Celery[Any]", task_id: str) -> object:
    """What Celery's client gets, or the name of the error that it raises."""
    try:
        return results.AsyncResult(task_id).get(timeout=20)
    except TaskRevokedError as error:
        return type(error).__name__


def task(task_id: str = "t", **more: Any) -> Task:
    return Task(**{"id": task_id, "seq": 1 << 60, "state": TaskState.PENDING, **more})


async def test_what_no_worker_has_said_a_word_about_is_kept(house: House) -> None:
    house.keep(task(queue="mail", state=TaskState.STARTED))
    await house.operations.revoke(house.actor, "t", terminate=True, signal="kill")
    (revoke,) = await kept(house)
    assert (revoke.task_id, revoke.terminate, revoke.signal) == ("t", True, "SIGKILL")
    assert (revoke.queue, revoke.by) == ("mail", "anyone")
    entry = json.loads(house.redis.hget(REVOKES, "t"))
    assert set(entry) == {"at", "terminate", "signal", "queue", "by"}
    assert house.redis.zscore(REVOKES_ORDER, "t") == entry["at"] == revoke.at
    await house.operations.revoke(house.actor, "t")
    (revoke,) = await kept(house)
    assert (revoke.terminate, revoke.signal) == (False, None)
    assert revoke.at > entry["at"]


async def test_what_was_taken_back_is_not_kept(house: House) -> None:
    (task_id,) = (await house.operations.submit(house.actor, ADD)).task_ids
    assert (await house.operations.revoke(house.actor, task_id)).withdrawn
    assert await kept(house) == []
    assert house.redis.exists(REVOKES, REVOKES_ORDER) == 0


async def test_what_was_taken_back_is_told_in_the_stream_too_where_there_is_one(
    house: House,
) -> None:
    transport = Transport.from_options(house.url)
    for streams in (0, 1):
        (task_id,) = (await house.operations.submit(house.actor, ADD)).task_ids
        await house.operations.revoke(house.actor, task_id)
        assert house.redis.exists("umbel:events") == streams
        house.redis.xadd("umbel:events", {"e": "[]"})
    redis = connect(house.url)
    stream = EventStream(redis, stream_key(transport))
    entries, _ = await stream.read()
    reading = read_entries(entries)
    told = [event for words in reading.words for event in words.events]
    assert [(type(event), event.task_id) for event in told] == [(TaskRevoked, task_id)]
    assert not reading.reasons
    await stream.close()
    await redis.aclose()


async def test_a_worker_with_the_plugin_reads_the_ledger_before_its_first_message(
    house: House, app: "Celery[Any]", worker: Callable[..., Process]
) -> None:
    """Nobody else is there to tell it, and the message is where nobody looks for it."""
    revoked = app.send_task("worker.tasks.add", [1, 2], queue="elsewhere").id
    house.keep(task(revoked))
    requested = await house.operations.revoke(house.actor, revoked)
    assert (requested.heard, requested.withdrawn) == (0, False)
    process = worker("-Q", "elsewhere,celery", "--without-mingle")
    (last,) = (await house.operations.submit(house.actor, ADD)).task_ids
    states = {}

    def ended() -> bool:
        for task_id in (revoked, last):
            found = house.redis.get(f"celery-task-meta-{task_id}")
            states[task_id] = json.loads(found)["status"] if found else None
        return states[revoked] is not None and states[last] == "SUCCESS"

    await asyncio.to_thread(eventually, ended)
    assert states[revoked] == "REVOKED"
    assert "Discarding revoked task" in process.output()


async def test_a_lost_task_that_will_be_handed_out_again_can_be_revoked(house: House) -> None:
    house.keep(task(state=TaskState.LOST, redelivery_at=2e9), task("gone", state=TaskState.LOST))
    await house.operations.revoke(house.actor, "t")
    with pytest.raises(Conflict):
        await house.operations.revoke(house.actor, "gone")
    assert [revoke.task_id for revoke in await kept(house)] == ["t"]


async def test_the_ledger_is_bounded_in_number_and_age(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revokes, "REVOKES_LIMIT", 10)
    transport = Transport.from_options(house.url)
    redis = connect(house.url)
    dropped = [
        (await keep_and_send(redis, transport, Revoke(task_id=f"t{number}"))).dropped
        for number in range(25)
    ]
    assert dropped == [0] * 10 + [1] * 15
    assert await revoked_ids(redis, transport) == [f"t{number}" for number in range(15, 25)]
    assert house.redis.hlen(REVOKES) == house.redis.zcard(REVOKES_ORDER) == 10
    house.redis.zadd(REVOKES_ORDER, {"t15": 1, "t16": 2})
    assert await prune_revokes(redis, transport) == 2
    assert await forget(redis, transport, ["t17", "never"]) == 1
    assert len(await kept(house)) == house.redis.hlen(REVOKES) == 7
    await redis.aclose()


async def test_pages_of_the_ledger_are_read_in_order_whatever_its_clock_says(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revokes, "READ_AT_ONCE", 3)
    transport = Transport.from_options(house.url)
    redis = connect(house.url)
    await keep_and_send(redis, transport, Revoke(task_id="first"))
    house.redis.zadd(REVOKES_ORDER, {"first": 4e9})  # the clock was set back since
    for number in range(7):
        await keep_and_send(redis, transport, Revoke(task_id=f"t{number}"))
    found = await kept(house, after=4e9)
    assert [revoke.task_id for revoke in found] == [f"t{number}" for number in range(7)]
    house.redis.hset(REVOKES, "t3", "no JSON")
    assert len(await kept(house)) == 7
    assert "t3" not in {revoke.task_id for revoke in await kept(house)}
    await redis.aclose()


@CELERYS_OWN
async def test_whoever_waits_for_the_result_of_what_was_taken_back_is_told(
    house: House, app: "Celery[Any]", results: "Celery[Any]"
) -> None:
    waiting, done = app.send_task("mail.send").id, app.send_task("mail.send").id
    silent = app.send_task("mail.send", ignore_result=True).id
    results.backend.store_result(done, 7, "SUCCESS")
    results.backend.store_result(waiting, OSError("not yet"), "RETRY")
    house.keep(*map(task, (waiting, silent, done)))
    getting = asyncio.create_task(asyncio.to_thread(get, results, waiting))
    for task_id in (waiting, silent, done):
        assert (await house.operations.revoke(house.actor, task_id)).withdrawn
    assert await getting == "TaskRevokedError"
    assert not house.redis.exists(f"celery-task-meta-{silent}")
    assert get(results, done) == 7


@CELERYS_OWN
@pytest.mark.parametrize("more", [{}, {"group_id": "g", "parent_id": "p"}])
async def test_the_result_is_the_document_that_celery_writes(
    house: House, app: "Celery[Any]", results: "Celery[Any]", more: dict[str, str]
) -> None:
    sent = app.send_task("mail.send", **more)
    house.keep(task(sent.id))
    await house.operations.revoke(house.actor, sent.id)
    ours = json.loads(house.redis.get(f"celery-task-meta-{sent.id}"))
    life = house.redis.ttl(f"celery-task-meta-{sent.id}")
    request = Context(group=more.get("group_id"), parent_id=more.get("parent_id"))
    results.backend.mark_as_revoked("other", "revoked", request=request, store_result=True)
    theirs = json.loads(house.redis.get("celery-task-meta-other"))
    assert list(ours) == list(theirs)
    differs = {"task_id", "date_done"}
    assert {key: ours[key] for key in ours if key not in differs} == {
        key: theirs[key] for key in theirs if key not in differs
    }
    assert ours["date_done"][-6:] == theirs["date_done"][-6:] == "+00:00"
    assert abs(life - house.redis.ttl("celery-task-meta-other")) < 60


async def test_a_member_of_a_chord_is_left_to_a_worker(house: House, app: "Celery[Any]") -> None:
    body = app.signature("mail.count")
    member = app.send_task("mail.send", group_id="g", chord=body)
    house.keep(task(member.id))
    assert not (await house.operations.revoke(house.actor, member.id)).withdrawn
    assert house.waiting() == 1
    assert [revoke.task_id for revoke in await kept(house)] == [member.id]


async def test_orphans_are_taken_back_with_all_that_tells_of_them(house: House) -> None:
    (task_id,) = (await house.operations.submit(house.actor, ADD)).task_ids
    message = json.loads(house.redis.rpop("celery"))
    house.redis.hset("unacked", "tag", json.dumps([message, "", "celery"]))
    house.redis.zadd("unacked_index", {"tag": 1_000})
    house.redis.hset("unacked", "other", "no JSON")
    assert not (await house.operations.revoke(house.actor, task_id)).withdrawn
    transport = Transport.from_options(house.url)
    redis = connect(house.url)
    found = await withdraw.find_handed_out(redis, transport, {task_id, "else"})
    assert (found.left, found.complete, len(found.orphans)) == ({task_id}, True, 1)
    too_young = await withdraw.withdraw_orphans(redis, transport, found.orphans, before=999)
    assert too_young == []
    (taken,) = await withdraw.withdraw_orphans(redis, transport, found.orphans, before=1_001)
    assert taken.task_id == task_id
    assert house.redis.hkeys("unacked") == [b"other"]
    assert not house.redis.exists("unacked_index", REVOKES)
    await redis.aclose()


async def test_a_hello_is_answered_as_celerys_own_client_expects_it(
    house: House, app: "Celery[Any]"
) -> None:
    transport, redis = Transport.from_options(house.url), connect(house.url)
    heard: list[bool] = []

    async def answer() -> None:
        async for hello in hear_hellos(redis, transport):
            assert hello.worker == "w1@test"
            heard.append(await answer_hello(redis, transport, hello, ["a", "b"]))

    answering = asyncio.create_task(answer())
    channel = transport.control_channel()
    await asyncio.to_thread(eventually, lambda: house.redis.pubsub_numsub(channel)[0][1] == 1)
    inspect = app.control.inspect(timeout=1.0)
    (reply,) = (await asyncio.to_thread(inspect.hello, "w1@test", [])).values()
    assert reply == {"revoked": ["a", "b"]}
    assert await asyncio.to_thread(inspect.ping) is None
    # It listens, but it is no worker, and is not counted as one.
    house.keep(task(queue="mail"))
    assert (await house.operations.revoke(house.actor, "t")).heard == 0
    assert heard == [True]
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    await redis.aclose()
