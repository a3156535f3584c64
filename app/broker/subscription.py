"""One subscription to all that the workers say, from the moment it is open until it breaks.

Pub/sub keeps nothing: whatever is published while no subscription stands is never heard. So
a subscription is never renewed behind its reader's back. It ends with BrokerUnavailable, and
the reader knows that from then until the next one is open it was blind.
"""

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple, Self

from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.broker.connection import TIMEOUT, reading
from app.broker.transport import Transport, redis_url, same_server
from app.domain.errors import BrokerUnavailable
from app.pool import Pool

READ_LIMIT = 2000
"""Messages of one read: about 3,000 events, some 20 ms of work, so other tasks get a turn."""
READ_SIZE = 1 << 19
"""Bytes taken from asyncio's stream at once: it holds no more (twice its limit and a chunk)."""
PING_EVERY = 2.0
"""Seconds between pings on the subscription, which tell a quiet broker from a dead one."""
PINGS_UNANSWERED = 3
"""Pings without a byte in return after which it is dead: within 8 s, as a stall can take 2 s."""


class Heard(NamedTuple):
    """One published message, with the time when we read it."""

    channel: bytes
    payload: bytes
    heard_at: float


class Subscription:
    """Everything published on the event channels and by the result backend.

    Open with `await Subscription.open(transport)`; one reader at a time.
    """

    def __init__(self, lines: "list[_Line]") -> None:
        self._lines = lines
        self._pending: dict[asyncio.Task[list[Heard]], _Line] = {}

    @classmethod
    async def open(cls, transport: Transport) -> Self:
        """Subscribes; when this returns, all that is published is heard. BrokerUnavailable."""
        wanted = {transport.url: [transport.event_pattern()]}
        if transport.result_url:
            shared = same_server(transport.url, transport.result_url)
            at = transport.url if shared else transport.result_url
            wanted.setdefault(at, []).append(transport.result_pattern())
        subscription = cls([])
        try:
            for url, patterns in wanted.items():
                subscription._lines.append(await _Line.open(url, patterns))
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def read(self) -> list[Heard]:
        """At least one message, and all that are there, up to READ_LIMIT. In order a server.

        Raises BrokerUnavailable once the subscription has ended; it never comes back.
        Nothing is lost when the call is cancelled.
        """
        if len(self._lines) == 1:
            return await self._lines[0].read()
        waiting = set(self._pending.values())
        for line in self._lines:
            if line not in waiting:
                self._pending[asyncio.ensure_future(line.read())] = line
        done, _ = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        heard: list[Heard] = []
        for task in done:
            if task.exception() is None:
                heard += task.result()
                del self._pending[task]
        # What one server still said comes before the news that the other one is gone.
        return heard or next(iter(done)).result()

    async def close(self) -> None:
        """Ends it; a `read` that waits raises BrokerUnavailable."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._pending.clear()
        for line in self._lines:
            await line.close()


class _Drain(_AsyncHiredisParser):
    """redis-py's parser, which also gives all replies that are there in one go.

    redis-py reads replies one by one through five calls and a timeout each, which is more
    than everything else that we do with an event. The parser is where it lets others in.
    """

    def on_connect(self, connection: AbstractConnection) -> None:
        """Takes the stream, and no second one: a renewed connection has no subscription."""
        before = self._stream
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        # For a Unix socket redis-py calls this twice with the same stream.
        if before is not None and before is not self._stream:
            raise RedisConnectionError("the subscription has ended")

    async def read_all(self, limit: int) -> list[object]:
        """At least one reply, and all further ones that are there; cancelling loses nothing."""
        while not (replies := self._buffered(limit)):
            if not self._connected:
                raise RedisConnectionError("the connection is closed")
            await self.read_from_socket()  # type: ignore[no-untyped-call]
        return replies

    def fail(self, error: Exception) -> None:
        """Ends a read that waits, without waiting for a peer that may be gone."""
        if self._stream is not None:
            self._stream.set_exception(error)

    def _buffered(self, limit: int) -> list[object]:
        replies: list[object] = []
        take = self._reader.gets  # type: ignore[attr-defined]
        while len(replies) < limit and (reply := take()) is not NOT_ENOUGH_DATA:
            replies.append(reply)
        return replies


class _Line:
    """A subscribed connection to one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parser = _Drain(READ_SIZE)
        pool = Pool.from_url(
            redis_url(url),
            protocol=2,
            parser_class=lambda socket_read_size: self._parser,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._pinging: asyncio.Task[None] | None = None
        self._reading = False
        self._unanswered = 0

    @classmethod
    async def open(cls, url: str, patterns: list[str]) -> "_Line":
        line = cls(url)
        try:
            with reading(url):
                await line._connection.connect()  # type: ignore[no-untyped-call]
                await line._connection.send_command("PSUBSCRIBE", *patterns)
                for _ in patterns:
                    await line._connection.read_response()
        except BaseException:
            await line._connection.disconnect(nowait=True)
            raise
        line._pinging = asyncio.create_task(line._ping())
        return line

    async def read(self) -> list[Heard]:
        self._reading = True
        try:
            with reading(self._url):
                while True:
                    replies = await self._parser.read_all(READ_LIMIT)
                    self._unanswered = 0
                    at = time.time()
                    if heard := [
                        Heard(reply[2], reply[3], at)
                        for reply in replies
                        if isinstance(reply, list) and len(reply) == 4
                    ]:
                        return heard
        except BrokerUnavailable:
            await self.close()
            raise
        finally:
            self._reading = False

    async def close(self) -> None:
        if self._pinging and self._pinging is not asyncio.current_task():
            self._pinging.cancel()
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _ping(self) -> None:
        """Pings until nobody answers; then ends the connection, which its reader notices."""
        while self._unanswered < PINGS_UNANSWERED:
            await asyncio.sleep(PING_EVERY)
            if not self._connection.is_connected:
                return
            # Answers that nobody reads at the moment say nothing about the broker.
            self._unanswered += self._reading
            try:
                await self._connection.send_command("PING", check_health=False)
            except (RedisError, OSError):
                break
        self._parser.fail(RedisTimeoutError("no answer to a ping"))
        await self.close()
