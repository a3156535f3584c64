"""Step 4: what has changed is committed, in one thread, before anybody hears of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

import structlog

from app.domain.errors import FeedUnavailable, StoreUnavailable, Superseded
from app.feed.lease import RENEW_SECONDS, Lease
from app.feed.stream import end_if_cancelled
from app.store import fence
from app.store.database import Database
from app.store.writer import Batch, commit

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses before a store that fails is tried again; the last one for as long as it takes."""

log = structlog.get_logger()


class LeaseLost(Exception):
    """Another recorder is active: this one must not write any more."""


class Keeper:
    """The store, used by one thread, and the right to write to it.

    `claim` comes first; from then on every write through `db` is checked in the store itself.
    `failing` says what is wrong with the store, "" when it works.
    """

    def __init__(self, db: Database, lease: Lease) -> None:
        self.db = db
        self.failing = ""
        self.committed = 0
        self._lease = lease
        self._lost = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @property
    def token(self) -> int:
        """What was claimed; 0 before."""
        return self.db.token or 0

    @property
    def lost(self) -> bool:
        """Another recorder is active."""
        return self._lost.is_set()

    async def claim(self, name: str) -> None:
        """Takes the store from whoever wrote to it: what is read after this is nobody else's to
        change. Raises LeaseLost."""
        self.db = self.db.fenced(await self.insist(fence.claim, self.db, name))
        # A pause before the claim can have cost us the lease: then it was not ours to make.
        await self._ask_for_lease()

    async def renew(self) -> None:
        """Keeps the lease until another has it. While Redis is away nobody knows who has it, and
        we go on: if another was elected, its claim ends our writing."""
        while not self.lost:
            end_if_cancelled()
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(LeaseLost):
                await self._ask_for_lease()

    async def until_lost(self) -> None:
        """Raises LeaseLost as soon as another recorder is active."""
        await self._lost.wait()
        raise LeaseLost

    def lose(self, reason: str) -> LeaseLost:
        """Ends all writing; the error is to be raised."""
        if not self.lost:
            log.warning("another recorder has taken over", reason=reason)
        self._lost.set()
        return LeaseLost(reason)

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
        """Calls once, in the store's thread. Raises StoreUnavailable, LeaseLost."""
        if self.lost:
            raise LeaseLost
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))
        except Superseded as error:
            raise self.lose(str(error)) from None

    async def _ask_for_lease(self) -> None:
        with suppress(FeedUnavailable):
            if not await self._lease.take():
                raise self.lose("another recorder holds the lease")

    def close(self) -> None:
        """Waits for a call under way."""
        self._thread.shutdown(wait=True)
