"""Whether events are flowing: broker, store and recorder, each looked at once a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from app.broker.connection import reading
from app.broker.transport import Transport
from app.domain.errors import UmbelError
from app.feed.status import RecorderStatus
from app.feed.tail import Tail
from app.store.database import Database
from app.web.reading import Reading

LOOK_SECONDS = 1.0
"""Between two looks; each costs one PING and one SELECT."""
LOOK_TIMEOUT = 2.5
"""Seconds until a part that does not answer counts as away; the broker's own limit is 2."""
QUIET_SECONDS = 3.0
"""A recorder says each second how it is: after so many without a word it is away, and pages say so
within 5 of its death. What it said last is kept for longer (`STATUS_SECONDS`)."""
LATE_SECONDS = 10.0
"""What is kept later than that is worth a word: pages are still true, but of a moment ago."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part's condition: `since` when it is as it is, `reason` why it isn't well."""

    ok: bool
    since: float
    reason: str = ""


class Health:
    """What the last look at each part found; `run` looks."""

    def __init__(
        self, db: Database, store_reads: Reading, broker: Redis, transport: Transport, tail: Tail
    ) -> None:
        self._db, self._reading = db, store_reads
        self._broker, self._transport = broker, transport
        self._tail = tail
        unknown = Part(False, time.time(), "not looked at yet")
        self.broker = unknown
        self.store = unknown

    @property
    def recorder(self) -> Part:
        """Whether what happens is heard, kept and announced: the condition of all live views."""
        if not self._tail.connected:
            return Part(False, self._tail.status_since, self._tail.reason)
        status, heard_at = self.status, self._tail.recorder_at
        if status is None:
            return Part(False, heard_at, "no recorder is running")
        if time.time() - heard_at > QUIET_SECONDS:
            return Part(False, heard_at, "the recorder says nothing any more")
        return Part(status.live, status.since, status.reason)

    @property
    def status(self) -> RecorderStatus | None:
        """What the active recorder last said; None: it says nothing."""
        return self._tail.recorder

    @property
    def ready(self) -> bool:
        """Whether every part is well."""
        return self.broker.ok and self.store.ok and self.recorder.ok

    @property
    def reason(self) -> str:
        """What is wrong, part by part; "" when nothing is."""
        parts = (("broker", self.broker), ("store", self.store), ("recorder", self.recorder))
        return "; ".join(f"{name}: {part.reason}" for name, part in parts if not part.ok)

    @property
    def warnings(self) -> list[str]:
        """What is not as it should be although events flow: nobody has to be sent elsewhere."""
        status = self._tail.recorder
        return [] if status is None else warnings_of(status)

    async def run(self) -> None:
        """Looks at broker and store until cancelled."""
        while True:
            self.broker, self.store = await asyncio.gather(
                _look(self.broker, self._ping_broker),
                _look(self.store, lambda: self._reading(self._db.ping)),
            )
            await asyncio.sleep(LOOK_SECONDS)

    async def _ping_broker(self) -> None:
        with reading(self._transport.url):
            await self._broker.ping()


def warnings_of(status: RecorderStatus) -> list[str]:
    """Sentences about a recorder that hears, and is late or has something to make good."""
    found = []
    if (late := max(status.lag, status.stream_lag)) > LATE_SECONDS:
        found.append(f"what happens is kept {late:.0f} s late")
    if status.healing:
        found.append(
            "a time in which nobody listened is being made good: some tasks may have ended"
        )
    if status.unchecked:
        because = f": {status.unchecked_reason}" if status.unchecked_reason else ""
        found.append(f"{status.unchecked:,} open tasks could not be checked{because}")
    return found


async def _look(before: Part, ask: Callable[[], Awaitable[object]]) -> Part:
    reason, asked_at = "", time.time()
    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            await ask()
    except TimeoutError:
        reason = f"no answer within {LOOK_TIMEOUT} s"
    except UmbelError as error:
        reason = str(error)
    same = before.ok == (not reason)
    # What does not answer was away already when it was asked.
    return Part(not reason, before.since if same else asked_at, reason)
