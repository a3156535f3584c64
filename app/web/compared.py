"""What happened lately beside what is usual: what tells a bad hour from an hour like any other."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.store import figures
from app.store.database import Database
from app.store.figures import Ended
from app.store.labels import Kind
from app.store.rollup_rows import HOURS, MINUTES, TENS
from app.web.reading import Reading

RECENT = 900
"""Seconds that are now: long enough that tasks of a minute have ended in them more than once."""
HOUR = 3_600
"""Seconds of which lost tasks are told: after it somebody has seen them, or nobody will."""
USUAL_HOURS = 24
"""Whole hours before this one that say what is usual: each time of a day is in them once."""
FRESH, USUAL_FRESH = 2.0, 60.0
"""Seconds after which the one and the other are read anew."""

ENOUGH = 20
"""Tasks that have to have ended before their figures say what is usual."""

Labelled = Mapping[str | None, Ended]


@dataclass(frozen=True, slots=True)
class Lately:
    """What ended in the last RECENT seconds by name, and in the last hour by worker: from `since`
    and from `hour` on, which are whole minutes, in seconds since the epoch."""

    names: Labelled
    workers: Labelled
    since: float
    hour: float


@dataclass(frozen=True, slots=True)
class Usually:
    """What ended in the USUAL_HOURS before this hour, by name and by queue."""

    names: Labelled
    queues: Labelled


class Comparison:
    """Reads both for all who look, the usual seldom."""

    def __init__(self, db: Database, reading: Reading) -> None:
        self._db, self._reading = db, reading
        self._lock = asyncio.Lock()
        self._lately: tuple[float, Lately] | None = None
        self._usually: tuple[float, Usually] | None = None

    async def read(self) -> tuple[Lately, Usually]:
        """What is known of both. Raises StoreUnavailable."""
        async with self._lock:
            now = time.monotonic()
            if self._usually is None or now >= self._usually[0]:
                usually = await self._reading(read_usually, self._db, time.time())
                self._usually = now + USUAL_FRESH, usually
            if self._lately is None or now >= self._lately[0]:
                lately = await self._reading(read_lately, self._db, time.time())
                self._lately = now + FRESH, lately
            return self._lately[1], self._usually[1]


def read_lately(db: Database, now: float) -> Lately:
    """The last minutes by name, the last hour by worker. Raises StoreUnavailable."""
    since = (now - RECENT + MINUTES.step) // MINUTES.step * MINUTES.step
    hour = (now - HOUR) // TENS.step * TENS.step
    by_name = figures.by_label(db, Kind.NAME, since, now)
    return Lately(by_name, figures.by_label(db, Kind.WORKER, hour, now, TENS.step), since, hour)


def read_usually(db: Database, now: float) -> Usually:
    """The whole hours before this one. Raises StoreUnavailable."""
    until = now // HOURS.step * HOURS.step
    since = until - USUAL_HOURS * HOURS.step
    names, queues = (
        figures.by_label(db, kind, since, until, HOURS.step) for kind in (Kind.NAME, Kind.QUEUE)
    )
    return Usually(names, queues)


def usual_run(compared: tuple[Lately, Usually], name: str | None) -> float | None:
    """Seconds in which 95 % of the tasks of that name had run; None where too few have ended to
    say so."""
    lately, usually = compared
    for ended in (usually.names.get(name), lately.names.get(name)):
        if ended is not None and ended.run.count >= ENOUGH:
            return ended.run.quantiles(0.95)[0]
    return None
