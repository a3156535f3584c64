"""The connection to Redis that tasks are sent on, and what is known of the clock there."""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from app.broker.calls import Call
from app.broker.clock import Clock
from app.broker.connection import connect
from app.broker.errand import ANSWERED_WITHIN
from app.broker.resp import pack
from app.broker.script import CHECK, SEND, Script

WRITTEN_AT_ONCE = 128 * 1024
"""Bytes handed to the socket before it has to have taken them; Redis reads them meanwhile."""
IDLE = 0.5
"""Seconds after which it is looked whether a connection is still there, before it is used."""


class Line:
    """One connection, made when it is needed, on which one caller at a time asks."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = connect(url, timeout=ANSWERED_WITHIN)
        self._connection: AbstractConnection | None = None
        self._used_at = 0.0
        self.clock = Clock()

    async def ping(self) -> None:
        """Ask on another connection whether Redis answers. Raises redis-py's errors."""
        await self._redis.ping()

    async def open(self) -> None:
        """Have a connection that is there and knows the scripts. Raises redis-py's errors."""
        if self._connection is not None and time.monotonic() - self._used_at > IDLE:
            await self._leave_if_gone(self._connection)
        if self._connection is None:
            self._connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            await self.load()
            self.clock = Clock()

    async def load(self) -> None:
        """Tell Redis the scripts."""
        for script in (SEND, CHECK):
            await self._there.send_command("SCRIPT", "LOAD", script.text)
            await self._there.read_response()

    async def read_clock(self) -> None:
        """Learn what Redis's clock shows."""
        sent = time.monotonic()
        await self._there.send_command("TIME")
        seconds, microseconds = await self._there.read_response()
        self.clock.learn(sent, time.monotonic(), int(seconds) + int(microseconds) / 1_000_000)

    async def write(self, commands: Iterable[Sequence[str]]) -> None:
        """Send commands, made and packed while those before them are sent."""
        for number, piece in enumerate(_pieces(commands)):
            if number:
                # Others have their turn, also while Redis takes all in at once.
                await asyncio.sleep(0)
            await self._there.send_packed_command(piece)

    async def read(self, count: int) -> list[Any]:
        """So many answers, errors of Redis's among them; the time for them is the caller's."""
        answers: list[Any] = []
        for _ in range(count):
            try:
                answer = await self._there.read_response(disable_decoding=True, timeout=math.inf)
            except ResponseError as error:
                answer = error
            answers.append(answer)
        self._used_at = time.monotonic()
        return answers

    def command(self, script: Script, call: Call) -> Sequence[str]:
        """Runs a script within the time that a call has."""
        deadline = str(self.clock.microseconds(call.deadline))
        again = "1" if call.sent_before else ""
        keys = call.keys
        return ["EVALSHA", script.sha, str(len(keys)), *keys, deadline, again, *call.arguments]

    async def leave(self, *, nowait: bool = True) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=nowait)
            await self._redis.connection_pool.release(connection)

    async def close(self) -> None:
        """End. Nothing may be asked any more."""
        await self.leave(nowait=False)
        await self._redis.aclose()

    @property
    def _there(self) -> AbstractConnection:
        if self._connection is None:
            raise ConnectionResetError("the connection was given up")
        return self._connection

    async def _leave_if_gone(self, connection: AbstractConnection) -> None:
        # The event loop has to have its turn, or it has not seen that the socket was closed.
        await asyncio.sleep(0)
        with suppress(RedisError, OSError):
            if not await connection.can_read():
                return
        await self.leave()


def _pieces(commands: Iterable[Sequence[str]]) -> Iterator[list[bytes]]:
    together: list[bytes] = []
    size = 0
    for command in commands:
        packed = pack(command)
        together.append(packed)
        size += len(packed)
        if size >= WRITTEN_AT_ONCE:
            yield together
            together, size = [], 0
    if together:
        yield together
