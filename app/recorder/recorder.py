"""The recorder: five steps in a row, and what keeps them fed.

    receive ▶ translate ▶ believe ▶ keep ▶ announce

One recorder is active for each feed; the others stand by and take over within 5 s.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from app.broker.transport import EVENTS_BYTES, Transport
from app.domain.errors import FeedUnavailable, StoreUnavailable
from app.feed.lease import Lease
from app.feed.replicas import stay_registered, this_process
from app.feed.stream import connect_feed
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.reconcile import PACE, Pace
from app.recorder.session import Session
from app.store.database import Database

STANDBY_SECONDS = 0.5
"""Between two tries of a standby to take the lease: it can be given up before it runs out."""
CONTESTS = 3
"""Times in a row that one is elected and superseded all the same. Once or twice is a Redis that
forgot who was elected, or a process that was paused in the middle of it; more, two feeds on one
store."""
STEADY_SECONDS = 60.0
"""One that was active for so long was not elected in vain."""
CONTESTED_SECONDS = 5.0
"""Its pause then, so that the two do not spend their time with taking over."""
CANCEL_AGAIN_SECONDS = 0.1
GARBAGE_THRESHOLDS = (250_000, 20, 50)
"""Python's own (700, 10, 10) would walk the tasks in memory many times a second in a storm; they
hold no cycles, so there is next to nothing to find. So many objects are more than the largest tick
makes and forgets again, and 25 MiB if all of them were cycles."""

T = TypeVar("T")

log = structlog.get_logger()


class Recorder:
    """The only writer of task truth. `retention` is how long tasks are kept, in seconds."""

    def __init__(
        self,
        transport: Transport,
        *,
        database_url: str,
        redis_url: str,
        retention: float,
        events_bytes: int = EVENTS_BYTES,
        pace: Pace = PACE,
    ) -> None:
        self._transport = transport
        self._database_url = database_url
        self._redis = connect_feed(redis_url)
        self._replica = this_process("recorder")
        self._lease = Lease(self._redis, self._replica.name)
        self._retention = retention
        self._events_bytes = events_bytes
        self._pace = pace
        self._contests = 0
        self._elected_at = 0.0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Has `run` return, within 3 s, with everything heard kept and announced."""
        self._stopping.set()

    async def run(self) -> None:
        """Records, or stands by, until told to stop. Raises CannotStart."""
        registered = asyncio.create_task(stay_registered(self._redis, self._replica))
        db: Database | None = None
        try:
            db = await self._open_store()
            while db is not None and not self._stopping.is_set():
                await self._stand_by()
                if not self._stopping.is_set():
                    await self._record(db)
        finally:
            await self._lease.release()
            await _cancel(registered)
            await self._redis.aclose()
            if db is not None:
                await asyncio.to_thread(db.close)

    async def _open_store(self) -> Database | None:
        """The store; None when told to stop before it was there."""
        while not self._stopping.is_set():
            try:
                return await asyncio.to_thread(Database.open, self._database_url)
            except StoreUnavailable as error:
                log.error("store can't be opened yet", reason=str(error))
                await self._pause()
        return None

    async def _stand_by(self) -> None:
        """Waits for the lease."""
        said = ""
        while not self._stopping.is_set():
            patience = STANDBY_SECONDS
            try:
                if await self._lease.take():
                    return
                reason = "another recorder is active"
                patience = min(patience, self._lease.free_in)
            except FeedUnavailable as error:
                reason = str(error)
            if reason != said:
                log.info("standing by", reason=reason)
                said = reason
            await self._pause(patience)

    async def _record(self, db: Database) -> None:
        self._elected_at = time.monotonic()
        keeper = Keeper(db, self._lease)
        renewing = asyncio.create_task(keeper.renew())
        try:
            session = await self._unless_stopping(self._open_session(keeper))
            if session is not None:
                await session.run(self._stopping)
        except LeaseLost:
            await self._give_way()
        except FeedUnavailable as error:
            log.warning("feed can't be opened yet", reason=str(error))
            await self._pause()
        finally:
            await _cancel(renewing)
            if self._stopping.is_set():
                # The next one need not wait for a write that hangs: its claim ends that too.
                await self._lease.release()
            await asyncio.to_thread(keeper.close)

    async def _open_session(self, keeper: Keeper) -> Session:
        await keeper.claim(self._replica.name)
        return await Session.open(
            self._transport,
            keeper,
            self._redis,
            self._lease,
            self._retention,
            self._events_bytes,
            pace=self._pace,
        )

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work returns; None when told to stop before it does."""
        working = asyncio.create_task(work)
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            await _cancel(told)
            await _cancel(working)

    async def _give_way(self) -> None:
        """Lets another be elected; one whose lease is still its own was superseded all the same."""
        contested = await self._lease.release()
        steady = time.monotonic() - self._elected_at > STEADY_SECONDS
        self._contests = 0 if steady or not contested else self._contests + 1
        if self._contests < CONTESTS:
            return
        log.error(
            "this recorder was elected, but another one writes to its store: give all that share "
            "a database the same UMBEL_REDIS_URL"
        )
        await self._pause(CONTESTED_SECONDS)

    async def _pause(self, seconds: float = STANDBY_SECONDS) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _cancel(task: "asyncio.Task[Any]") -> None:
    """Cancels until it has ended: redis-py can swallow a cancellation until Python 3.12."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains about it


async def record(
    transport: Transport,
    *,
    database_url: str,
    redis_url: str,
    retention: float,
    events_bytes: int = EVENTS_BYTES,
) -> None:
    """Runs a recorder in this process until SIGTERM or SIGINT. Raises CannotStart."""
    recorder = Recorder(
        transport,
        database_url=database_url,
        redis_url=redis_url,
        retention=retention,
        events_bytes=events_bytes,
    )
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recorder.stop)
    await recorder.run()
    # Python looks through all that is left as it ends, which takes longer than the rest of it.
    gc.freeze()
