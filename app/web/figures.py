"""Figures of what ended, for pages, REST and Prometheus: read once for all who look at the same."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.errors import BadInput, FieldError
from app.store import blind_windows, figures, markers
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.figures import Ended, level_of
from app.store.labels import Kind
from app.store.markers import Marker
from app.web.language import marked
from app.web.reading import Reading

POINTS = 1_500
"""Steps of one answer; more is a chart that no screen can show."""
USUAL_POINTS = 180
"""Steps where nobody says how long they are to be: about what a chart of a page has."""
USUAL_STEPS = (60, 300, 600, 3_600, 21_600, 86_400)
"""Seconds; from the shortest on, the first that makes no more than USUAL_POINTS."""
BY = {"name": Kind.NAME, "queue": Kind.QUEUE, "worker": Kind.WORKER}


class Range(NamedTuple):
    """A time until now that a page offers: its `length`, a chart's `step`, and after how many
    seconds what was read of it is read anew."""

    key: str
    words: str
    length: int
    step: int
    fresh: float


RANGES = {
    each.key: each
    for each in (
        Range("15m", marked("15 minutes"), 900, 60, 1.0),
        Range("1h", marked("hour"), 3_600, 60, 1.0),
        Range("6h", marked("6 hours"), 21_600, 300, 5.0),
        Range("24h", marked("24 hours"), 86_400, 600, 15.0),
        Range("7d", marked("7 days"), 604_800, 3_600, 30.0),
        Range("30d", marked("30 days"), 2_592_000, 21_600, 60.0),
    )
}
"""The longer the time, the less a minute more changes it, and the more is read."""
USUAL_RANGE = RANGES["1h"]


class Asked(NamedTuple):
    """Which figures: `since` and `until` in seconds since the epoch, `step` in seconds; a total for
    each label of a kind, or one label alone."""

    since: float
    until: float
    step: int
    by: Kind | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What ended: together, by the first second of each step that has any, and by label, of which
    the first has the most."""

    asked: Asked
    total: Ended
    series: Mapping[int, Ended]
    labels: tuple[tuple[str | None, Ended], ...]


def read(db: Database, asked: Asked) -> Found:
    """Reads them. Raises StoreUnavailable."""
    since, until, step, by, label = asked
    of = None if by is None or label is None else (by, label)
    series = figures.series(db, since, until, step, of)
    labels: list[tuple[str | None, Ended]] = []
    if by is not None and label is None:
        labels = list(figures.by_label(db, by, since, until, step).items())
        labels.sort(key=lambda item: (-item[1].count, item[0] or ""))
    total = Ended()
    for ended in series.values():
        total.merge(ended)
    return Found(asked, total, series, tuple(labels))


@dataclass(frozen=True, slots=True, eq=False)
class Charted:
    """What a chart shows: figures, the times in which nobody listened, since when anything is
    known at all (None: nothing is), and what people have marked, the newest first."""

    found: Found
    blind: tuple[BlindWindow, ...] = ()
    known_since: float | None = None
    marked: tuple[Marker, ...] = ()


class Charts:
    """The ranges that pages offer, each read at most once in the time that it is fresh."""

    def __init__(self, db: Database, reading: Reading) -> None:
        self._db, self._reading = db, reading
        self._found: dict[tuple[str, Kind], tuple[float, Charted]] = {}
        self._locks: dict[tuple[str, Kind], asyncio.Lock] = {}

    async def read(self, wanted: Range, by: Kind) -> Charted:
        """What is known of it. Raises StoreUnavailable."""
        key = wanted.key, by
        async with self._locks.setdefault(key, asyncio.Lock()):
            due, found = self._found.get(key, (0.0, None))
            if found is None or time.monotonic() >= due:
                found = await self._reading(read_chart, self._db, wanted, by, time.time())
                self._found[key] = time.monotonic() + wanted.fresh, found
            return found


def read_chart(
    db: Database,
    wanted: Range,
    by: Kind | None,
    now: float,
    of: tuple[Kind, str] | None = None,
) -> Charted:
    """Reads all that a chart of a range until now shows, with a total for each label of a kind, or
    `of` one label alone. Raises StoreUnavailable."""
    kind, label = of or (by, None)
    asked = Asked(now - wanted.length + wanted.step, now, wanted.step, kind, label)
    since = asked.since - asked.since % asked.step
    blind = tuple(blind_windows.between(db, since, now))
    marked = tuple(markers.between(db, since, now))
    return Charted(read(db, asked), blind, figures.known_since(db), marked)


def step_for(since: float, until: float, now: float) -> int:
    """The usual step of a time."""
    for step in USUAL_STEPS:
        if (until - since) / step <= USUAL_POINTS and is_kept(since, step, now):
            return step
    return USUAL_STEPS[-1]


def check(asked: Asked, now: float) -> None:
    """Raises BadInput where no figures can be told."""
    since, until, step = asked.since, asked.until, asked.step
    errors = []
    if until <= since:
        errors.append(FieldError(("query", "until"), "not after since"))
    if step < 60 or step % 60:
        errors.append(FieldError(("query", "step"), f"{step} is not whole minutes, in seconds"))
    elif (until - since) / step > POINTS:
        words = f"more than {POINTS:,} steps: take longer ones"
        errors.append(FieldError(("query", "step"), words))
    elif not is_kept(since, step, now):
        allowed = next((one for one in USUAL_STEPS if is_kept(since, one, now)), USUAL_STEPS[-1])
        words = f"such short steps are not kept for so long: take {allowed} or a multiple of it"
        errors.append(FieldError(("query", "step"), words))
    if asked.label is not None and asked.by is None:
        errors.append(FieldError(("query", "label"), "needs by: name, queue or worker"))
    if errors:
        raise BadInput("There are no such figures.", tuple(errors))


def is_kept(since: float, step: int, now: float) -> bool:
    """Steps of that length are known since then; the longest are for as long as any."""
    return step % USUAL_STEPS[-1] == 0 or since >= now - level_of(step).kept
