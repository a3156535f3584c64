"""The broker that we watch is safe: nobody's messages are handed out again or taken.

kombu gives messages back that are older than the reader's own visibility timeout; a monitor
that reads through kombu re-runs other people's tasks. Each round here is one thing that Umbel
does; whatever is added to Umbel belongs into ROUNDS.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
import redis
from celery import Celery

from app.broker.celery_client import celery_client
from app.broker.connection import connect
from app.broker.control import ask, broadcast, ping, sweep_replies
from app.broker.evidence import WorkerSettings, look
from app.broker.ledger import find_submitted
from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.transport import Transport
from tests.support import PATIENCE, Process, end, eventually

Start = Callable[..., Process]
OLD = 70 * 60
"""Seconds since the message was handed out: longer than Celery's visibility timeout of an hour."""

KNOWN = (b"umbel:", b"celery", b"unacked", b"_kombu.binding")
"""Keys of ours (all bounded, none a reply queue), and those that the worker itself keeps."""


async def ask_and_tell(transport: Transport) -> None:
    client = connect(transport.url)
    await ask(client, transport, "stats", {}, timeout=5)
    await ask(client, transport, "active", {}, timeout=5)
    await ping(client, transport, ["w1@test"], timeout=5)
    await broadcast(client, transport, "revoke", {"task_id": "never heard of"})
    await sweep_replies(client, transport)
    await client.connection_pool.disconnect()


async def publish(transport: Transport) -> None:
    client = connect(transport.url)
    publisher = Publisher(transport)
    await publisher.open()
    add = Submission(name="worker.tasks.add", args="[1, 2]")
    sent = await publisher.publish([add] * 20, idempotency=("key", "request"))
    assert await find_submitted(client, transport, sent.task_ids[0])
    await publisher.close()
    await client.connection_pool.disconnect()


async def use_celery(transport: Transport) -> None:
    app = celery_client(transport)

    def call() -> None:
        result = app.send_task("worker.tasks.add", (2, 3))
        assert result.get(timeout=PATIENCE) == 5
        assert app.control.inspect(timeout=1).ping()
        end(app)

    await asyncio.to_thread(call)


async def look_for_tasks(transport: Transport) -> None:
    client = connect(transport.url)
    seen = await look(client, transport, WorkerSettings(), ["celery", "q"])
    assert "theirs" not in seen.queued
    await client.connection_pool.disconnect()


ROUNDS: dict[str, Callable[[Transport], Awaitable[None]]] = {
    "remote control": ask_and_tell,
    "publishing": publish,
    "a look for tasks": look_for_tasks,
    "our Celery client": use_celery,
}


@pytest.mark.parametrize("name", ROUNDS)
async def test_an_old_unacknowledged_message_of_others_stays_where_it_is(
    name: str, redis_url: str, worker: Start
) -> None:
    # A worker with the visibility timeout of twelve hours that such an application has.
    worker(
        name="w1",
        env={"UMBEL_BROKER_TRANSPORT_OPTIONS": json.dumps({"visibility_timeout": 43_200})},
    )
    message = json.dumps([{"body": "W10=", "headers": {"id": "theirs"}, "properties": {}}, "", "q"])
    with redis.Redis.from_url(redis_url) as client:
        client.hset("unacked", "their-tag", message)
        client.zadd("unacked_index", {"their-tag": time.time() - OLD})
        await asyncio.to_thread(eventually, client.pubsub_numpat)
        await ROUNDS[name](Transport(url=redis_url, result_url=redis_url))
        assert client.hget("unacked", "their-tag") == message.encode()
        assert client.zscore("unacked_index", "their-tag")
        assert not client.exists("q")
        litter = [key for key in client.scan_iter() if not key.startswith(KNOWN)]
        assert litter == []


async def test_a_plain_celery_client_would_not_leave_it_there(redis_url: str) -> None:
    """What the others are protected from; when this fails, Celery has stopped doing it."""
    message = json.dumps([{"body": "W10=", "headers": {"id": "theirs"}, "properties": {}}, "", "q"])
    with redis.Redis.from_url(redis_url) as client:
        client.hset("unacked", "their-tag", message)
        client.zadd("unacked_index", {"their-tag": time.time() - OLD})

        def looks_and_moves_it() -> bool:
            with Celery(broker=redis_url, set_as_current=False) as app:
                app.control.inspect(timeout=1).ping()
            return not client.hexists("unacked", "their-tag")

        await asyncio.to_thread(eventually, looks_and_moves_it)
