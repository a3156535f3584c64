"""A connection that the other side resets, and one that is used when its client is closed."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.broker.connection import connect, reading
from app.domain.errors import BrokerUnavailable, FeedUnavailable
from app.feed.stream import connect_feed, feed_errors
from tests.support import eventually_async

COMMANDS = 200
"""Written at once: enough for some to be written after the reset."""


async def _reset_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a connection and answers the first words with a reset."""
    await reader.read(1)
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _ask_often(redis: Redis) -> list[BaseException]:
    answers = await asyncio.gather(
        *(redis.set("a", "b" * 50_000) for _ in range(COMMANDS)), return_exceptions=True
    )
    return [answer for answer in answers if isinstance(answer, BaseException)]


async def _with_resets() -> None:
    server = await asyncio.start_server(_reset_each, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    broker, feed = connect(url), connect_feed(url)
    try:
        assert not [error for error in await _ask_often(broker) if type(error) is RuntimeError]
        with pytest.raises(BrokerUnavailable), reading(url):
            await broker.ping()
        with pytest.raises(FeedUnavailable):
            async with feed_errors():
                await feed.ping()
    finally:
        await broker.aclose()
        await feed.aclose()
        server.close()


def test_a_reset_connection_is_a_redis_that_is_away() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_with_resets())


def _closed(_: object) -> None:
    raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")


async def test_what_uvloop_says_of_a_closed_transport_is_a_lost_connection(redis_url: str) -> None:
    redis = connect(redis_url)
    try:
        connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        connection._writer.writelines = _closed  # type: ignore[method-assign,union-attr]
        with pytest.raises(BrokerUnavailable), reading(redis_url):
            await connection.send_command("PING")
    finally:
        await redis.aclose()


class _Gate:
    """Between a client and Redis: takes connections, and lets nothing through until it opens."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2].partition("/")[0])
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.left = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.left += 1
        self.reached.set()
        await self.opened.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self.left -= 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


async def test_a_connection_that_comes_when_its_client_is_closed_is_closed_too(
    redis_url: str,
) -> None:
    gate = _Gate(redis_url)
    server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
    redis = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/1")
    asked = asyncio.create_task(redis.get("a"))
    await gate.reached.wait()
    closing = asyncio.create_task(redis.aclose())
    await asyncio.sleep(0)
    gate.opened.set()
    with pytest.raises(RedisError):
        await asked
    await closing

    async def nothing_left() -> bool:
        return gate.left == 0

    await eventually_async(nothing_left)
    server.close()


@pytest.mark.parametrize("client_of", [connect, connect_feed])
async def test_a_client_that_was_closed_opens_no_connection(
    client_of: Callable[[str], Redis], redis_url: str
) -> None:
    redis = client_of(redis_url)
    await redis.set("a", "b")
    await redis.aclose()

    with pytest.raises(RedisError, match="is closed"):
        await redis.get("a")
