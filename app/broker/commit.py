"""Sends scripts to Redis in groups, each within its time or not at all.

Submissions that arrive while a group is on its way make up the next one: a hundred people who
press the button at once cost two round trips. A script carries its deadline in Redis's own
clock, so that one which a frozen Redis finds when it wakes up does nothing: whoever was told
"not sent" can rely on it.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.broker.clock import Clock
from app.broker.connection import connect
from app.broker.errand import ANSWERED_WITHIN, Errand, Outcome
from app.broker.script import SCRIPT, SCRIPT_SHA
from app.broker.transport import safe_url
from app.domain.errors import BrokerUnavailable

LATE_ANSWER = 0.1
"""Seconds left for an answer that is here already, but not read by a busy process yet."""
LEAST_PATIENCE = 0.3
"""Seconds that a look whether Redis answers may take, however long it was until it was made."""
GROUP_LIMIT = 256
"""Scripts written at once; more would make the first of them wait for the last."""
WRITTEN_AT_ONCE = 256 * 1024
"""Bytes handed to the socket before it has to have taken them."""
PACKED_AT_ONCE = 500
"""Arguments of a script packed before they are sent, so that Redis reads a batch meanwhile."""
IDLE = 0.5
"""Seconds after which it is looked whether a connection is still there, before it is used."""
UNSENT = "nothing was sent"
PERHAPS_SENT = (
    "it broke off while it was asked, so it may have been sent; the same Idempotency-Key tells"
)


class GroupCommit:
    """One connection to Redis, and the scripts that wait for their turn on it."""

    def __init__(self, url: str) -> None:
        self._server = f"Redis at {safe_url(url)}"
        self._redis: Redis = connect(url, timeout=ANSWERED_WITHIN)
        self._connection: AbstractConnection | None = None
        self._clock = Clock()
        self._used_at = 0.0
        self._waiting: deque[Errand] = deque()
        self._called = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send; it connects when there is something to send."""
        self._task = asyncio.create_task(self._run(), name="group commit")

    async def close(self) -> None:
        """Let go of the connection; what still waits is told that it was not sent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for errand in self._waiting:
            errand.refuse(self._refusal(f"is no longer asked: {UNSENT}"))
        await self._disconnect(nowait=False)
        await self._redis.aclose()

    async def run(self, errand: Errand) -> Outcome:
        """Run one script. Raises BrokerUnavailable within 2 s, and then it never will run."""
        self._waiting.append(errand)
        self._called.set()
        timer = asyncio.get_running_loop().call_later(ANSWERED_WITHIN, self._expire, errand, False)
        try:
            return await errand.outcome
        finally:
            timer.cancel()

    async def check(self, since: float) -> None:
        """Raises BrokerUnavailable where Redis does not answer now: within the time of a request
        that came at `since` (of our monotonic clock), before much is prepared for it."""
        left = since + ANSWERED_WITHIN - time.monotonic()
        try:
            async with asyncio.timeout(max(left, LEAST_PATIENCE)):
                await self._redis.ping()
        except (RedisError, OSError, EOFError) as error:
            cause = f"does not answer ({type(error).__name__})"
            raise self._refusal(f"{cause}: {UNSENT}") from None

    def _expire(self, errand: Errand, at_last: bool) -> None:
        left = errand.answer_by - time.monotonic()
        if left > 0 or not at_last:
            loop = asyncio.get_running_loop()
            loop.call_later(max(left, LATE_ANSWER), self._expire, errand, left <= 0)
        else:
            errand.refuse(self._refusal(f"did not answer in time: {UNSENT}"))

    async def _run(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            while group := self._next_group():
                try:
                    await self._send(group)
                except Exception as error:
                    # Whatever it is, it must not end the sending of everything after it.
                    await self._disconnect()
                    self._tell(group, error)

    def _next_group(self) -> list[Errand]:
        group: list[Errand] = []
        while self._waiting and len(group) < GROUP_LIMIT:
            if group and (self._waiting[0].large or group[0].large):
                break
            errand = self._waiting.popleft()
            if not errand.outcome.done():
                group.append(errand)
        return group

    async def _send(self, group: list[Errand]) -> None:
        """Send a group; once more where the connection was lost on the way.

        The script knows a message that it has sent already, so that nothing is sent twice.
        """
        try:
            await self._exchange(group)
        except (RedisTimeoutError, TimeoutError):
            raise
        except (RedisConnectionError, OSError, EOFError):
            await self._disconnect()
            left = [errand for errand in group if not errand.outcome.done()]
            for errand in left:
                errand.sent_before = True
            await self._exchange(left)

    async def _exchange(self, group: list[Errand]) -> None:
        connection = await self._connected()
        if not self._clock.fresh or any(errand.large for errand in group):
            await self._read_clock(connection)
        # Whoever was told in the meantime that nothing was sent can rely on it.
        group = [errand for errand in group if not errand.outcome.done()]
        sent = time.monotonic()
        for errand in group:
            errand.written = sent
        for piece in _pieces(self._command(errand) for errand in group):
            await connection.send_packed_command(piece)
        left = max((errand.answer_by for errand in group), default=sent) - time.monotonic()
        async with asyncio.timeout(max(left, LATE_ANSWER)):
            unknown = [one for one in group if not await self._read(connection, one, sent)]
        self._used_at = time.monotonic()
        if unknown:
            await self._load(connection)
            self._waiting.extendleft(reversed(unknown))

    async def _read(self, connection: AbstractConnection, errand: Errand, sent: float) -> bool:
        """Read one answer; says whether Redis knew the script at all."""
        try:
            answer = await connection.read_response(disable_decoding=True, timeout=math.inf)
        except NoScriptError:
            return False
        except ResponseError as error:
            errand.refuse(self._refusal(f"refused ({error}): {UNSENT}"))
        else:
            self._take(errand, answer, sent)
        return True

    def _command(self, errand: Errand) -> tuple[Any, ...]:
        deadline = self._clock.microseconds(errand.deadline)
        again = "1" if errand.sent_before else ""
        return (
            "EVALSHA",
            SCRIPT_SHA,
            len(errand.keys),
            *errand.keys,
            deadline,
            again,
            *errand.arguments,
        )

    def _take(self, errand: Errand, answer: Sequence[bytes], sent: float) -> None:
        now = time.monotonic()
        kind, at, more = (part.decode() for part in answer)
        self._clock.learn(sent, now, int(at) / 1_000_000)
        if kind != "late":
            errand.settle(Outcome(kind, more))
        elif now < errand.deadline:
            # Its clock was set, and is known better now.
            self._waiting.append(errand)
        else:
            errand.refuse(self._refusal(f"is too slow: {UNSENT}"))

    async def _connected(self) -> AbstractConnection:
        connection = self._connection
        if connection is not None and time.monotonic() - self._used_at > IDLE:
            connection = await self._if_there(connection)
        if connection is None:
            connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            self._connection = connection
            await self._load(connection)
            self._clock = Clock()
        return connection

    async def _if_there(self, connection: AbstractConnection) -> AbstractConnection | None:
        """The connection, unless the other side has closed it while nobody used it."""
        # The event loop has to have its turn, or it has not seen that the socket was closed.
        await asyncio.sleep(0)
        with suppress(RedisError, OSError):
            if not await connection.can_read():
                return connection
        await self._disconnect()
        return None

    async def _load(self, connection: AbstractConnection) -> None:
        await connection.send_command("SCRIPT", "LOAD", SCRIPT)
        await connection.read_response()

    async def _read_clock(self, connection: AbstractConnection) -> None:
        sent = time.monotonic()
        await connection.send_command("TIME")
        seconds, microseconds = await connection.read_response()
        self._clock.learn(sent, time.monotonic(), int(seconds) + int(microseconds) / 1_000_000)

    async def _disconnect(self, *, nowait: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=nowait)
            await self._redis.connection_pool.release(connection)

    def _tell(self, group: Iterable[Errand], error: Exception) -> None:
        """Say what is known: a script past its time is never run, one that was on its way when
        the connection broke, and could not be asked about again, may have been."""
        late = isinstance(error, RedisTimeoutError | TimeoutError)
        for errand in group:
            told = UNSENT if late or errand.written is None else PERHAPS_SENT
            cause = f"does not take tasks ({type(error).__name__})"
            errand.refuse(self._refusal(f"{cause}: {told}"))

    def _refusal(self, cause: str) -> BrokerUnavailable:
        return BrokerUnavailable(f"{self._server} {cause}.")


def _pieces(commands: Iterable[tuple[Any, ...]]) -> Iterator[list[bytes]]:
    """The commands as Redis reads them, packed while they are sent."""
    together: list[bytes] = []
    size = 0
    for packed in chain.from_iterable(map(_packed, commands)):
        together.append(packed)
        size += len(packed)
        if size >= WRITTEN_AT_ONCE:
            yield together
            together, size = [], 0
    if together:
        yield together


def _packed(command: tuple[Any, ...]) -> Iterator[bytes]:
    if len(command) <= PACKED_AT_ONCE:
        yield pack_command(command)
        return
    yield b"*%d\r\n" % len(command)
    for start in range(0, len(command), PACKED_AT_ONCE):
        some = command[start : start + PACKED_AT_ONCE]
        # Packed as a command of its own, whose beginning says how many: that of the whole does.
        yield pack_command(some)[len(b"*%d\r\n" % len(some)) :]
