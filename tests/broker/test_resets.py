"""A connection that the other side resets, on the event loop that we run on."""

import asyncio
import socket
import struct

import pytest
import uvloop
from redis.asyncio import Redis

from app.broker.connection import connect, reading
from app.domain.errors import BrokerUnavailable, FeedUnavailable
from app.feed.stream import connect_feed, feed_errors

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
