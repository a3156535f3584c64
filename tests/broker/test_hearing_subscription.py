"""The subscription on a real Redis: what it hears, and that it never hides a gap."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from app.broker import subscription
from app.broker.connection import connect
from app.broker.subscription import READ_LIMIT, Heard, Subscription
from app.broker.transport import Transport
from app.cli.redis_server import find_binary
from app.domain.errors import BrokerUnavailable
from tests.support import PATIENCE, Process, RedisServer, eventually_async


@asynccontextmanager
async def subscribed(transport: Transport) -> AsyncIterator[Subscription]:
    opened = await Subscription.open(transport)
    try:
        yield opened
    finally:
        await opened.close()


async def read(opened: Subscription, count: int) -> list[Heard]:
    heard: list[Heard] = []
    async with asyncio.timeout(PATIENCE):
        while len(heard) < count:
            heard += await opened.read()
    return heard


def publish(url: str, *messages: tuple[str, bytes]) -> None:
    with redis.Redis.from_url(url) as client:
        pipe = client.pipeline(transaction=False)
        for channel, payload in messages:
            pipe.publish(channel, payload)
        pipe.execute()


async def test_events_and_results_are_heard_in_order_on_one_connection(redis_url: str) -> None:
    before = time.time()
    async with subscribed(Transport.from_options(redis_url)) as opened:
        publish(
            redis_url,
            ("/0.celeryev/task.multi", b"1"),
            ("celery-task-meta-abc", b"2"),
            ("/0.celeryev/worker.heartbeat", b"3"),
            ("/0.celery.pidbox", b"not ours"),
            ("/1.celeryev/task.multi", b"another database's"),
        )
        heard = await read(opened, 3)
        with redis.Redis.from_url(redis_url) as client:
            assert len(client.client_list(_type="pubsub")) == 1
    assert [one.payload for one in heard] == [b"1", b"2", b"3"]
    assert heard[1].channel == b"celery-task-meta-abc"
    assert all(before <= one.heard_at <= time.time() for one in heard)


@pytest.mark.parametrize(
    ("database", "options", "exchange", "channel"),
    [
        (3, {}, "celeryev", "/3.celeryev/task.sent"),
        (0, {"global_keyprefix": "P*"}, "celeryev", "P*/0.celeryev/task.sent"),
        (0, {}, "myev", "/0.myev/task.sent"),
        (0, {"fanout_prefix": False}, "celeryev", "celeryev/task.sent"),
        (2, {"fanout_prefix": "/x{db}."}, "celeryev", "/x2.celeryev/task.sent"),
        (0, {"fanout_patterns": False}, "celeryev", "/0.celeryev"),
    ],
)
async def test_renamed_channels_are_heard(
    redis_url: str, database: int, options: dict[str, object], exchange: str, channel: str
) -> None:
    url = f"{redis_url.removesuffix('/0')}/{database}"
    transport = Transport.from_options(url, None, options, event_exchange=exchange)
    async with subscribed(transport) as opened:
        publish(redis_url, ("/0.nobody/task.sent", b"no"), (channel, b"yes"))
        assert [one.payload for one in await read(opened, 1)] == [b"yes"]


async def test_results_of_another_server_are_heard_too(redis_url: str, tmp_path: Path) -> None:
    other = RedisServer(tmp_path / "other").start()
    try:
        transport = Transport.from_options(redis_url, other.url)
        async with subscribed(transport) as opened:
            publish(other.url, ("celery-task-meta-abc", b"result"))
            assert [one.payload for one in await read(opened, 1)] == [b"result"]
            publish(redis_url, ("/0.celeryev/task.sent", b"event"))
            assert [one.payload for one in await read(opened, 1)] == [b"event"]
            other.stop()
            publish(redis_url, ("/0.celeryev/task.sent", b"last"))
            await asyncio.sleep(0.2)
            assert [one.payload for one in await read(opened, 1)] == [b"last"]
            for _ in range(2):
                with pytest.raises(BrokerUnavailable):
                    await read(opened, 1)
    finally:
        other.stop()


async def test_without_a_redis_result_backend_only_events_are_heard(redis_url: str) -> None:
    async with subscribed(Transport.from_options(redis_url, "none")) as opened:
        publish(redis_url, ("celery-task-meta-abc", b"no"), ("/0.celeryev/task.sent", b"yes"))
        assert [one.payload for one in await read(opened, 1)] == [b"yes"]


async def test_a_flood_is_read_in_bounded_portions_and_nothing_is_lost(redis_url: str) -> None:
    async with subscribed(Transport.from_options(redis_url)) as opened:
        count = 3 * READ_LIMIT
        publish(redis_url, *(("/0.celeryev/t", b"%d" % number) for number in range(count)))
        heard: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while len(heard) < count:
                portion = await opened.read()
                assert len(portion) <= READ_LIMIT
                heard += [one.payload for one in portion]
    assert heard == [b"%d" % number for number in range(count)]


async def test_a_cancelled_read_loses_nothing(redis_url: str) -> None:
    async with subscribed(Transport.from_options(redis_url)) as opened:
        for number in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opened.read(), 0.01)
            publish(redis_url, ("/0.celeryev/t", b"%d" % number))
            assert [one.payload for one in await read(opened, 1)] == [b"%d" % number]


async def test_a_killed_connection_ends_it_for_good(redis_url: str) -> None:
    async with subscribed(Transport.from_options(redis_url)) as opened:
        with redis.Redis.from_url(redis_url) as client:
            client.client_kill_filter(_type="pubsub", skipme=True)
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            await read(opened, 1)
        publish(redis_url, ("/0.celeryev/task.sent", b"unheard"))
        with pytest.raises(BrokerUnavailable):
            await opened.read()
        with redis.Redis.from_url(redis_url) as client:
            assert client.client_list(_type="pubsub") == []


async def test_a_frozen_broker_is_noticed_by_unanswered_pings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PING_EVERY", 0.1)
    server = RedisServer(tmp_path / "frozen").start()
    assert server.process
    try:
        async with subscribed(Transport.from_options(server.url)) as opened:
            with pytest.raises(TimeoutError):  # while it answers, quiet is no reason to end
                await asyncio.wait_for(opened.read(), 1.0)
            os.kill(server.process.pid, signal.SIGSTOP)
            with pytest.raises(BrokerUnavailable, match="no answer to a ping"):
                await read(opened, 1)
    finally:
        server.stop()


async def test_a_reader_that_pauses_is_not_mistaken_for_a_dead_broker(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PING_EVERY", 0.02)
    async with subscribed(Transport.from_options(redis_url)) as opened:
        await asyncio.sleep(0.5)
        publish(redis_url, ("/0.celeryev/task.sent", b"after the pause"))
        assert [one.payload for one in await read(opened, 1)] == [b"after the pause"]


async def test_no_broker_is_said_at_once_and_without_the_password() -> None:
    transport = Transport.from_options("redis://:secret@127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable, match=r"redis://\*\*\*@127.0.0.1:1/0") as refused:
        await Subscription.open(transport)
    assert "secret" not in str(refused.value)


async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "locked").start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "right")
        with pytest.raises(BrokerUnavailable, match="AuthenticationError"):
            await Subscription.open(Transport.from_options(server.url))
        address = server.url.replace("//", "//:right@")
        async with subscribed(Transport.from_options(address)) as opened:
            publish(address, ("/0.celeryev/task.sent", b"in"))
            assert [one.payload for one in await read(opened, 1)] == [b"in"]
    finally:
        server.stop()


async def test_a_closed_subscription_leaves_nothing_on_the_broker(redis_url: str) -> None:
    async with subscribed(Transport.from_options(redis_url)):
        pass
    with redis.Redis.from_url(redis_url) as client:

        async def gone() -> bool:
            return client.client_list(_type="pubsub") == []

        await eventually_async(gone)
        assert client.dbsize() == 0


async def test_a_unix_socket_is_an_address_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    command = [find_binary(), "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = Process(command, tmp_path / "redis.log", cwd=tmp_path).start()
    try:

        async def listening() -> bool:
            return path.exists()

        await eventually_async(listening)
        transport = Transport.from_options(f"redis+socket://{path}?virtual_host=2")
        async with subscribed(transport) as opened:
            client = connect(transport.url)
            await client.publish("/2.celeryev/task.sent", b"heard")
            await client.aclose()
            assert [one.payload for one in await read(opened, 1)] == [b"heard"]
    finally:
        process.stop()
