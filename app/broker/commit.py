"""Sends scripts to Redis in groups, each within its time or not at all.

Submissions that arrive while a group is on its way make up the next one: a hundred people who
press the button at once cost two round trips. A script carries its deadline in Redis's own
clock, so that one which a frozen Redis finds when it wakes up does nothing: whoever was told
"not sent" can rely on it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError, TimeoutError

from app.broker.connection import connect
from app.broker.script import SCRIPT, SCRIPT_SHA
from app.broker.transport import safe_url
from app.domain.errors import BrokerUnavailable

SENT_WITHIN = 1.2
"""Seconds after which Redis may no longer carry out what was asked."""
ANSWERED_WITHIN = 1.6
"""Seconds after which we say that it was not sent: later than `SENT_WITHIN` by more than two
clocks drift apart between two looks at Redis's, sooner than the 2 s that a person is promised."""
LATE_ANSWER = 0.1
"""Seconds left for an answer that is here already, but not read by a busy process yet."""
CLOCK_AGE = 60.0
"""Seconds after which Redis's clock is read again before anything relies on it."""
GROUP_LIMIT = 256
"""Scripts written at once; more would make the first of them wait for the last."""
LARGE = 256 * 1024
"""Bytes from which an errand goes alone, after a look whether Redis answers at all, and is given
time by its size: so a frozen Redis is noticed just as soon, and a busy one is not taken for it."""
SLOWEST = 4 * 1024 * 1024
"""Bytes a second that a busy Redis takes in and carries out at the least."""
WRITTEN_AT_ONCE = 256 * 1024
"""Bytes handed to the socket before it has to have taken them."""


class Outcome(NamedTuple):
    """What the script says happened: `sent`, `replayed`, `conflict` or `not a list`."""

    kind: str
    more: str


@dataclass(eq=False, slots=True)
class Errand:
    """One script to run: its keys, and its arguments after the deadline and the resend mark."""

    keys: Sequence[str]
    arguments: Sequence[bytes | str]
    size: int
    started: float = field(default_factory=time.monotonic)
    written: float | None = None
    sent_before: bool = False
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def large(self) -> bool:
        """It goes alone."""
        return self.size > LARGE

    @property
    def deadline(self) -> float:
        """When Redis may no longer carry it out, by our monotonic clock."""
        if self.large and self.written is not None:
            return self.written + SENT_WITHIN + self.size / SLOWEST
        return self.started + SENT_WITHIN

    @property
    def answer_by(self) -> float:
        """When we say that it was not sent, by our monotonic clock."""
        return self.deadline + ANSWERED_WITHIN - SENT_WITHIN


class Clock:
    """What Redis's clock shows, never more than it may show: deadlines rather come too soon."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._read_at = 0.0

    @property
    def fresh(self) -> bool:
        """It was read so lately that the two clocks can't have drifted apart by much."""
        return self._offset is not None and time.monotonic() - self._read_at < CLOCK_AGE

    def learn(self, sent: float, received: float, at: float) -> None:
        """Redis showed `at` seconds at some moment between these two of ours."""
        least, most = at - received, at - sent
        self._offset = least if self._offset is None else min(max(self._offset, least), most)
        self._read_at = received

    def microseconds(self, moment: float) -> int:
        """What Redis's clock shows at a moment of ours."""
        return int((moment + (self._offset or 0.0)) * 1_000_000)


class GroupCommit:
    """One connection to Redis, and the scripts that wait for their turn on it."""

    def __init__(self, url: str) -> None:
        self._server = f"Redis at {safe_url(url)}"
        self._redis: Redis = connect(url, timeout=ANSWERED_WITHIN)
        self._connection: AbstractConnection | None = None
        self._clock = Clock()
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
        self._refuse(self._waiting, "is no longer asked, for Umbel is stopping")
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

    def _expire(self, errand: Errand, at_last: bool) -> None:
        left = errand.answer_by - time.monotonic()
        if left > 0 or not at_last:
            loop = asyncio.get_running_loop()
            loop.call_later(max(left, LATE_ANSWER), self._expire, errand, left <= 0)
        else:
            _settle(errand, error=self._refusal("did not answer in time"))

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
                    self._refuse(group, f"does not take tasks ({type(error).__name__})")

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
        except TimeoutError:
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
        packed = b"".join(pack_command(self._command(errand)) for errand in group)
        for start in range(0, len(packed), WRITTEN_AT_ONCE):
            await connection.send_packed_command([packed[start : start + WRITTEN_AT_ONCE]])
        unknown = [errand for errand in group if not await self._read(connection, errand, sent)]
        if unknown:
            await self._load(connection)
            self._waiting.extendleft(reversed(unknown))

    async def _read(self, connection: AbstractConnection, errand: Errand, sent: float) -> bool:
        """Read one answer; says whether Redis knew the script at all."""
        left = max(LATE_ANSWER, errand.answer_by - time.monotonic())
        try:
            answer = await connection.read_response(disable_decoding=True, timeout=left)
        except NoScriptError:
            return False
        except ResponseError as error:
            _settle(errand, error=self._refusal(f"refused ({error})"))
        else:
            if answer is None:
                raise TimeoutError("no answer")
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
            _settle(errand, outcome=Outcome(kind, more))
        elif now < errand.deadline:
            # Its clock was set, and is known better now.
            self._waiting.append(errand)
        else:
            _settle(errand, error=self._refusal("is too slow"))

    async def _connected(self) -> AbstractConnection:
        connection = self._connection
        if connection is None:
            connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            self._connection = connection
            await self._load(connection)
            self._clock = Clock()
        return connection

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

    def _refuse(self, errands: Iterable[Errand], cause: str) -> None:
        for errand in errands:
            _settle(errand, error=self._refusal(cause))

    def _refusal(self, cause: str) -> BrokerUnavailable:
        return BrokerUnavailable(f"{self._server} {cause}: nothing was sent.")


def _settle(
    errand: Errand, *, outcome: Outcome | None = None, error: BrokerUnavailable | None = None
) -> None:
    if errand.outcome.done():
        return
    if error is not None:
        errand.outcome.set_exception(error)
    elif outcome is not None:
        errand.outcome.set_result(outcome)
