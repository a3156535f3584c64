"""What is old goes, beside the recording: in transactions so short that nobody notices."""

import asyncio
import time

import structlog

from app.domain.errors import StoreUnavailable
from app.recorder.keep import Keeper
from app.recorder.producers import Producers
from app.recorder.receive import Backlog
from app.store import producers as stored_producers
from app.store.database import Database
from app.store.retention import prune

EVERY_SECONDS = 60.0
"""Between two looks for what is old: a day of 1,000,000 tasks is 700 of them a minute."""
TRANSACTION_SECONDS = 0.01
"""What one transaction is to take: a tick's commit waits that long at most, where 50 ms are
between two ticks."""
FEWEST, MOST = 25, 500
"""Tasks of one transaction. Fewer cost more each than is won; more are no cheaper."""
FASTER, SLOWER = 1.25, 0.5
"""By how much the next transaction differs at most: too long a one hurts, too short a one not."""
SHARE = 0.25
"""Of the time that transactions take; the rest is the recorder's."""
BEHIND_SECONDS = 0.25
"""Until it looks again where events wait."""
BEHIND = 2_000
"""Waiting messages that are more than a tick's in any storm that is kept up with."""

log = structlog.get_logger()


class Retention:
    """Deletes what is older than `age` seconds, and looks after the file that it stood in."""

    def __init__(self, keeper: Keeper, backlog: Backlog, counted: Producers, age: float) -> None:
        self._keeper = keeper
        self._backlog = backlog
        self._producers = counted
        self._age = age
        self._tasks = FEWEST

    async def run(self) -> None:
        """For ever. Raises LeaseLost."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if forgotten := self._producers.take_forgotten(time.time()):
                await self._keeper.insist(stored_producers.forget, self._keeper.db, forgotten)
            await self.delete()

    async def delete(self) -> None:
        """All that is old by now. Raises LeaseLost."""
        while True:
            if len(self._backlog) > BEHIND:
                await asyncio.sleep(BEHIND_SECONDS)
                continue
            before = time.time() - self._age
            deleted, took = await self._keeper.insist(_timed, self._keeper.db, before, self._tasks)
            if not deleted:
                return
            self._tasks = fitting(self._tasks, took)
            await asyncio.sleep(took * (1 / SHARE - 1))

    async def tend(self) -> None:
        """Does beside the writing what the store would do within a commit."""
        db = self._keeper.db
        while True:
            try:
                pause = await asyncio.to_thread(db.tend)
            except StoreUnavailable as error:
                log.debug("the store was not tended", reason=str(error))
                pause = EVERY_SECONDS
            if pause is None:
                # A part of a session that returns ends it.
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(pause)


def _timed(db: Database, before: float, tasks: int) -> tuple[int, float]:
    """How many were deleted, and in how many seconds without the wait for the store's thread."""
    began = time.perf_counter()
    return prune(db, before, tasks), time.perf_counter() - began


def fitting(tasks: int, took: float) -> int:
    """How many tasks the next transaction may have, after one of so many took so long."""
    factor = max(SLOWER, min(TRANSACTION_SECONDS / took, FASTER))
    return max(FEWEST, min(round(tasks * factor), MOST))
