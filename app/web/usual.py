"""How long tasks of one name usually run and wait: it tells a slow one from one like any other."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from app.domain.sketch import Sketch
from app.store import figures
from app.store.database import Database
from app.store.labels import Kind
from app.store.rollup_rows import HOURS
from app.web.reading import Reading

USUAL_HOURS = 24
"""Hours that say what is usual: each time of a day is in them once."""
ENOUGH = 20
"""Runs from which on something is usual: of fewer, the longest one decides where 95 % are."""
FRESH = 60.0
"""Seconds after which it is read anew."""
NAMES_KEPT = 500
"""Names of which it is remembered; each takes some 200 bytes."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Of `count` runs on the last day, in seconds: half of them ran and waited no longer than p50,
    95 % no longer than p95. None: too few are known."""

    count: int = 0
    run_p50: float | None = None
    run_p95: float | None = None
    wait_p50: float | None = None
    wait_p95: float | None = None


UNKNOWN = Usual()


class Usuals:
    """Reads it for each name at most once in a minute, for all who look."""

    def __init__(self, db: Database, reading: Reading) -> None:
        self._db, self._reading = db, reading
        self._found: OrderedDict[str, tuple[float, Usual]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def of(self, name: str | None) -> Usual:
        """What is usual of tasks of that name. Raises StoreUnavailable."""
        if name is None:
            return UNKNOWN
        async with self._lock:
            due, found = self._found.get(name, (0.0, UNKNOWN))
            if time.monotonic() >= due:
                found = await self._reading(read_usual, self._db, name, time.time())
                self._found[name] = time.monotonic() + FRESH, found
                self._found.move_to_end(name)
                if len(self._found) > NAMES_KEPT:
                    self._found.popitem(last=False)
            return found


def read_usual(db: Database, name: str, now: float) -> Usual:
    """Reads it from the figures, not from tasks. Raises StoreUnavailable."""
    since = now - USUAL_HOURS * HOURS.step
    total = figures.Ended()
    for ended in figures.series(db, since, now, HOURS.step, (Kind.NAME, name)).values():
        total.merge(ended)
    run_p50, run_p95 = _quantiles(total.run)
    wait_p50, wait_p95 = _quantiles(total.wait)
    return Usual(total.run.count, run_p50, run_p95, wait_p50, wait_p95)


def _quantiles(sketch: Sketch) -> tuple[float | None, float | None]:
    if sketch.count < ENOUGH:
        return None, None
    half, most = sketch.quantiles(0.5, 0.95)
    return half, most
