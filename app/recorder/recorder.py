"""The recorder: five steps in a row, and what keeps them fed.

    receive ▶ translate ▶ believe ▶ keep ▶ announce

One recorder is active for each feed; the others stand by and take over within 5 s.
"""

import asyncio
import gc
import signal
from contextlib import suppress

import structlog

from app.broker.transport import Transport
from app.domain.errors import FeedUnavailable, StoreUnavailable
from app.feed.lease import Lease
from app.feed.stream import connect_feed
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.session import Session
from app.store.database import Database

STANDBY_SECONDS = 0.5
"""Between two tries of a standby to take the lease."""
GARBAGE_THRESHOLDS = (50_000, 20, 50)
"""Python's own (700, 10, 10) would walk the 50,000 tasks in memory many times a second in a
storm; they hold no cycles, so there is next to nothing to find."""

log = structlog.get_logger()


class Recorder:
    """The only writer of task truth. `retention` is how long tasks are kept, in seconds."""

    def __init__(
        self, transport: Transport, *, database_url: str, redis_url: str, retention: float
    ) -> None:
        self._transport = transport
        self._database_url = database_url
        self._redis = connect_feed(redis_url)
        self._lease = Lease(self._redis)
        self._retention = retention
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Has `run` return, within 3 s, with everything heard kept and announced."""
        self._stopping.set()

    async def run(self) -> None:
        """Records, or stands by, until told to stop. Raises CannotStart."""
        db = await self._open_store()
        try:
            while db is not None and not self._stopping.is_set():
                await self._stand_by()
                if not self._stopping.is_set():
                    await self._record(db)
        finally:
            await self._lease.release()
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
            try:
                if await self._lease.take():
                    return
                reason = "another recorder is active"
            except FeedUnavailable as error:
                reason = str(error)
            if reason != said:
                log.info("standing by", reason=reason)
                said = reason
            await self._pause()

    async def _record(self, db: Database) -> None:
        keeper = Keeper(db, self._lease)
        try:
            session = await Session.open(
                self._transport, keeper, self._redis, self._lease, self._retention
            )
            await session.run(self._stopping)
        except LeaseLost:
            log.warning("another recorder has taken over")
        except FeedUnavailable as error:
            log.warning("feed can't be opened yet", reason=str(error))
            await self._pause()
        finally:
            await asyncio.to_thread(keeper.close)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_SECONDS):
                await self._stopping.wait()


async def record(
    transport: Transport, *, database_url: str, redis_url: str, retention: float
) -> None:
    """Runs a recorder in this process until SIGTERM or SIGINT. Raises CannotStart."""
    recorder = Recorder(
        transport, database_url=database_url, redis_url=redis_url, retention=retention
    )
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recorder.stop)
    await recorder.run()
