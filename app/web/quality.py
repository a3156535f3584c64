"""How much is known of what happened: read from the store for figures, pages and Prometheus."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.errors import StoreUnavailable
from app.store import blind_windows, lost, stories
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.stories import Stories
from app.web.reading import Reading

HOUR, DAY = 3_600.0, 86_400.0
WINDOWS = 20
"""Blind windows told: the latest ones, as many as a person reads."""
FRESH_SECONDS = 1.0
"""For so long what was read is used again: no figure here is worth reading it more often."""
REST = 20
"""Times that a reading took, until the next: a store with a thousand names of tasks is not kept
busier than a twentieth by whoever watches."""
LONGEST_REST = 15.0
"""Seconds; one slow reading must not make the figures old."""


@dataclass(frozen=True, slots=True)
class Known:
    """Stories of the last hour and day, why tasks of that day were given up, and when nobody
    listened: the latest windows, and by cause how many are kept and how many not healed."""

    hour: Stories
    day: Stories
    reasons: Mapping[str, int]
    windows: tuple[BlindWindow, ...]
    causes: Mapping[str, tuple[int, int]]

    @property
    def unhealed(self) -> int:
        """Windows that are not made good."""
        return sum(unhealed for _, unhealed in self.causes.values())


class Quality:
    """Reads it for all who ask, at most once a second and never twice at once."""

    def __init__(self, db: Database, reading: Reading) -> None:
        self._db, self._reading = db, reading
        self._lock = asyncio.Lock()
        self._found: Known | StoreUnavailable = StoreUnavailable("Not read yet.")
        self._due = 0.0

    async def read(self) -> Known:
        """What is known now. Raises StoreUnavailable."""
        async with self._lock:
            began = time.monotonic()
            if began >= self._due:
                self._found = await self._look()
                now = time.monotonic()
                is_away = isinstance(self._found, StoreUnavailable)
                pause = FRESH_SECONDS if is_away else (now - began) * REST
                self._due = now + min(max(FRESH_SECONDS, pause), LONGEST_REST)
        if isinstance(self._found, StoreUnavailable):
            raise StoreUnavailable(str(self._found))
        return self._found

    async def _look(self) -> Known | StoreUnavailable:
        try:
            return await self._reading(_read, self._db, time.time())
        except StoreUnavailable as error:
            return error


def _read(db: Database, now: float) -> Known:
    return Known(
        hour=stories.count(db, now - HOUR),
        day=stories.count(db, now - DAY),
        reasons=lost.tally(db, now - DAY),
        windows=tuple(blind_windows.latest(db, WINDOWS)),
        causes=blind_windows.by_cause(db),
    )
