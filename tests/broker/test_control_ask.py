"""Questions to real workers: who answers, who can't, and that nothing of ours stays behind."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.broker import control
from app.broker.connection import connect
from app.broker.control import ask, ask_each, broadcast, ping, read_reply, sweep_replies
from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from tests.support import Process, eventually_async, free_port

Start = Callable[..., Process]


async def keys_of(client: Redis) -> set[bytes]:
    return {key async for key in client.scan_iter(count=1000)}


async def online(client: Redis, transport: Transport, count: int) -> None:
    """Workers say "ready" before they listen for commands."""

    async def heard() -> bool:
        return await broadcast(client, transport, "ping", {}) == count

    await eventually_async(heard)


async def test_all_workers_answer_and_nothing_is_left_behind(
    redis_url: str, client: Redis, worker: Start
) -> None:
    worker(name="w1")
    worker(name="w2")
    transport = Transport(url=redis_url, result_url=redis_url)
    await online(client, transport, 2)
    before = await keys_of(client)
    started = time.monotonic()
    stats = await ask(client, transport, "stats", {}, timeout=20)
    assert time.monotonic() - started < 10, "it stops when all have answered"
    assert set(stats) == {"w1@test", "w2@test"}
    assert all(isinstance(json.loads(answer)["pid"], int) for answer in stats.values())
    assert await ping(client, transport, ["w2@test"]) == {"w2@test"}
    assert await ping(client, transport, []) == set()
    assert await broadcast(client, transport, "heartbeat", {}) == 2
    assert await keys_of(client) == before


async def test_a_worker_that_could_not_do_it_says_so(
    redis_url: str, client: Redis, worker: Start
) -> None:
    worker(name="w1")
    transport = Transport(url=redis_url, result_url=redis_url)
    await online(client, transport, 1)
    answers = await ask(client, transport, "no_such_command", {}, timeout=20)
    assert "error" in json.loads(answers["w1@test"])


async def test_a_busy_solo_worker_is_absent_and_its_late_answer_expires(
    redis_url: str, client: Redis, worker: Start
) -> None:
    worker("-P", "solo", name="solo")
    transport = Transport(url=redis_url, result_url=redis_url)
    publisher = Publisher(transport)
    await publisher.open()
    sent = await publisher.publish([Submission(name="worker.tasks.long_task", args="[6]")])
    await publisher.close()
    result = f"celery-task-meta-{sent.task_ids[0]}"
    await eventually_async(lambda: client.exists(result))
    assert await ask(client, transport, "ping", {}, timeout=0.3) == {}
    assert await ping(client, transport, ["solo@test"], timeout=0.3) == set()

    async def replies() -> list[bytes]:
        return [key for key in await keys_of(client) if control.REPLY_PREFIX.encode() in key]

    for key in await replies():
        assert 0 <= await client.ttl(key) <= control.LATE_REPLY_SECONDS
    assert not await client.exists(transport.binding_key("reply.celery.pidbox"))

    async def none() -> bool:
        return not await replies()

    await eventually_async(none)


@pytest.mark.parametrize("prefix", ["", "app:"])
async def test_other_databases_prefixes_and_exchanges_are_asked_alike(
    prefix: str,
    redis_url: str,
    client: Redis,
    worker: Start,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "application"
    folder.mkdir()
    url = f"{redis_url.rpartition('/')[0]}/3"
    (folder / "named.py").write_text(
        "from celery import Celery\n"
        f"app = Celery('named', broker={url!r}, backend={url!r})\n"
        "app.conf.control_exchange = 'house'\n"
        f"app.conf.broker_transport_options = {{'global_keyprefix': {prefix!r}}}\n"
    )
    worker(name="named", app="named", cwd=folder, env={"CELERY_BROKER_URL": url})
    transport = Transport(
        url=url, result_url=url, global_keyprefix=prefix, control_exchange="house"
    )
    there = connect(url)
    await online(there, transport, 1)
    before = await keys_of(there)
    assert set(await ask(there, transport, "ping", {}, timeout=20)) == {"named@test"}
    assert await keys_of(there) == before
    await there.connection_pool.disconnect()


async def test_a_question_to_nobody_is_answered_at_once(redis_url: str, client: Redis) -> None:
    transport = Transport(url=redis_url, result_url="")
    assert await ask(client, transport, "ping", {}, timeout=20) == {}
    assert await broadcast(client, transport, "ping", {}) == 0
    assert await keys_of(client) == set()


async def test_a_question_that_is_given_up_leaves_nothing(redis_url: str, client: Redis) -> None:
    transport = Transport(url=redis_url, result_url="")
    listener = client.pubsub()
    await listener.psubscribe(transport.control_channel())
    await listener.get_message(timeout=5)
    asking = asyncio.create_task(ask(client, transport, "ping", {}, timeout=60))
    binding = transport.binding_key("reply.celery.pidbox")
    await eventually_async(lambda: client.exists(binding))
    while not asking.done():
        asking.cancel()  # again and again, as servers do
        await asyncio.sleep(0)
    assert asking.cancelled()
    assert not await client.exists(binding), "it goes on after whoever asked was told of its end"
    await listener.aclose()


async def test_several_questions_that_are_given_up_have_all_ended_then(
    redis_url: str, client: Redis
) -> None:
    transport = Transport(url=redis_url, result_url="")
    listener = client.pubsub()
    await listener.psubscribe(transport.control_channel())
    await listener.get_message(timeout=5)
    methods = ["ping", "stats", "active", "reserved", "scheduled"]
    asking = asyncio.create_task(ask_each(client, transport, methods))
    binding = transport.binding_key("reply.celery.pidbox")

    async def all_asked() -> bool:
        return await client.scard(binding) == len(methods)

    await eventually_async(all_asked)
    before = asyncio.all_tasks()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert all(task.done() for task in before - {asyncio.current_task()})
    assert not await client.exists(binding)
    await listener.aclose()


async def test_what_a_killed_process_left_is_swept_and_nothing_else(
    redis_url: str, client: Redis
) -> None:
    transport = Transport(url=redis_url, result_url="")
    binding = transport.binding_key("reply.celery.pidbox")
    exchange = "reply.celery.pidbox"
    now = int(time.time())
    dead, live, other = f"umbel-ask-{now - 3600}-x", f"umbel-ask-{now}-x", "1b4e28ba"
    for route in (dead, live, other):
        await client.sadd(binding, transport.sep.join((route, "", f"{route}.{exchange}")))
        await client.lpush(f"{route}.{exchange}", "a reply")
    assert await sweep_replies(client, transport) == 1
    assert await keys_of(client) == {
        binding.encode(),
        f"{live}.{exchange}".encode(),
        f"{other}.{exchange}".encode(),
    }


async def test_no_redis_is_told_as_such() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    transport = Transport(url=url, result_url="")
    client = connect(url)
    with pytest.raises(BrokerUnavailable):
        await ask(client, transport, "ping", {})
    with pytest.raises(BrokerUnavailable):
        await broadcast(client, transport, "ping", {})
    with pytest.raises(BrokerUnavailable):
        await sweep_replies(client, transport)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"headers": null}',
        b'{"headers": {"ticket": "t"}, "body": 1, "properties": {}}',
        b'{"headers": {"ticket": "t"}, "body": "%", "properties": {"body_encoding": "base64"}}',
        b'{"headers": {"ticket": "t"}, "body": "[]", "properties": {},'
        b' "content-type": "application/json"}',
        b'{"headers": {"ticket": "t"}, "body": "x", "properties": {},'
        b' "content-type": "application/x-python-serialize"}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_reply_is_no_reply(raw: bytes) -> None:
    assert read_reply(raw, "t") == {}


def test_an_answer_keeps_its_very_text() -> None:
    body = '{"w1": {"n": 123456789012345678901234567890, "b": 1.10}, "w2": {"s": "\\\\ud800"}}'
    raw = (
        '{"headers": {"ticket": "t"}, "content-type": "application/json", "properties": {}, '
        f'"body": {json.dumps(body)}}}'
    )
    found = read_reply(raw.encode(), "t")
    assert found["w1"] == '{"n": 123456789012345678901234567890, "b": 1.10}'
    assert read_reply(raw.encode(), "another") == {}
