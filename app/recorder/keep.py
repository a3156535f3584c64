"""Step 4: what has changed is committed, in one thread, before anybody hears of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import structlog

from app.domain.errors import StoreUnavailable
from app.feed.lease import Lease
from app.store.database import Database
from app.store.writer import Batch, commit

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses before a store that fails is tried again; the last one for as long as it takes."""
LEASE_POLL_SECONDS = 0.05

log = structlog.get_logger()


class LeaseLost(Exception):
    """Another recorder is active: this one must not write any more."""


class Keeper:
    """The store, used by one thread. `failing` says what is wrong with it, "" when it works."""

    def __init__(self, db: Database, lease: Lease) -> None:
        self.db = db
        self.failing = ""
        self.committed = 0
        self._lease = lease
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def keep(self, batch: Batch) -> None:
        """Commits the batch, however long that takes; nothing is lost while the store is away.

        Raises LeaseLost.
        """
        await self.insist(commit, self.db, batch)
        self.committed += 1

    async def insist(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls until the store answers, while nobody else may write. Raises LeaseLost."""
        attempt = 0
        while True:
            await self._may_write()
            try:
                answer = await self.ask(call, *args, **kwargs)
            except StoreUnavailable as error:
                if not self.failing:
                    log.error("store fails, nothing is lost yet", reason=str(error))
                self.failing = str(error)
                await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
            else:
                if self.failing:
                    log.info("store works again", attempts=attempt)
                self.failing = ""
                return answer

    async def ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls once, in the store's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Waits for a call under way."""
        self._thread.shutdown(wait=True)

    async def _may_write(self) -> None:
        """Waits out a lease that runs out because the feed's Redis is away."""
        while not self._lease.held:
            if self._lease.lost:
                raise LeaseLost
            await asyncio.sleep(LEASE_POLL_SECONDS)
