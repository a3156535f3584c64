"""How many tasks match a filter: counted where that is cheap, else estimated and so marked."""

import time
from dataclasses import dataclass, replace
from math import floor, log10

from sqlalchemy import Connection, func, literal, select

from app.domain.filters import Sort, TaskFilter
from app.store import ended
from app.store.arguments import CALLS, taken
from app.store.database import Database
from app.store.runtimes import along
from app.store.schema import BIG, STATE_CODES, state_counts, tasks
from app.store.selects import JOINED
from app.store.ways import Bounds, Narrowed, Way, best, by_state, count, narrow, nth, those

COUNTED = 20_000
"""Entries of an index that are counted one by one: some milliseconds."""
COMPARED = 500
"""Rows whose texts are compared, at 10 to 20 µs each, of which a disk reads one by one."""
COMPARED_FIRST = 100
"""Of these are compared, however long that takes, and as many more as fit into the time."""
COMPARED_SECONDS = 0.05
WINDOWS = 40
"""Pieces of the time in which entries are counted where there are too many: as many as days of a
month, so that no night's work is missed or taken for all."""
SPARSEST = 20
"""Of so many parts of the time at least one is counted."""


@dataclass(frozen=True, slots=True)
class Total:
    """How many tasks match; `exact`, or about so many."""

    count: int
    exact: bool

    def at_least(self, seen: int, *, to_the_end: bool = False) -> "Total":
        """The same for whoever has seen so many of them: an estimate must not say that there are
        fewer, nor differ where these are all."""
        if to_the_end and not self.exact:
            return Total(seen, True)
        return self if self.exact or seen <= self.count else replace(self, count=seen)


def total(db: Database, wanted: TaskFilter) -> Total:
    """How many tasks match. What can't be counted in some milliseconds is estimated, to two digits:
    from pieces of the time, and where texts are searched from the newest."""
    if wanted.ended and (known := ended.count(db, wanted)) is not None:
        many, exact = known
        return Total(many if exact else _about(many), exact)
    with db.reading() as connection:
        narrowed = narrow(connection, wanted, Sort.NEWEST)
        if narrowed.empty:
            return Total(0, True)
        if narrowed.texts:
            return _of_rows(connection, narrowed)
        if narrowed.ran:
            return _of_runtimes(connection, narrowed)
        if narrowed.labelled or narrowed.bounds.limited:
            return _of_entries(connection, narrowed)
        return Total(_known(connection, narrowed.codes), True)


def _known(connection: Connection, codes: tuple[int, ...] = ()) -> int:
    query = select(func.coalesce(func.sum(state_counts.c.count), 0))
    if codes:
        query = query.where(state_counts.c.state.in_(codes))
    return int(connection.scalar(query) or 0)


def _of_entries(connection: Connection, narrowed: Narrowed) -> Total:
    bounds = narrowed.bounds
    if narrowed.labelled or narrowed.codes:
        way = best(connection, narrowed.ways, bounds)
    else:
        # Any index tells what places there are, and reads less than the table.
        way = by_state((), (), ())
    entries = count(connection, way.entries, bounds, COUNTED + 1)
    if entries <= COUNTED:
        exact = count(connection, way, bounds, COUNTED) if way.within else entries
        return Total(exact, True)
    span = _span(connection, bounds)
    sparse = max(SPARSEST, _known(connection) // COUNTED)
    if len(way.values) > len(STATE_CODES) and not narrowed.ran:
        # Each branch is looked up in each window, and states are fewer than these labels.
        way = by_state(narrowed.codes, narrowed.labelled, ())
    return Total(_about(_sampled(connection, way, span, sparse) * sparse), False)


def _of_runtimes(connection: Connection, narrowed: Narrowed) -> Total:
    """Where few ran so long, the index of runtimes knows them; of more, labels or rows do."""
    ran = replace(narrowed.bounds, by_runtime=True)
    way = along(narrowed)
    if count(connection, way.entries, ran, COUNTED + 1) <= COUNTED:
        return Total(count(connection, way, ran, COUNTED), True)
    covering = [way for way in narrowed.ways if way.covering]
    if covering:
        return _of_entries(connection, replace(narrowed, ways=covering))
    return _of_rows(connection, narrowed)


def _of_rows(connection: Connection, narrowed: Narrowed) -> Total:
    bounds = narrowed.bounds
    words = [way for way in narrowed.ways if way.word is not None]
    way = best(connection, words or narrowed.ways, bounds)
    end = nth(connection, way, bounds, COUNTED) if way.within else None
    ahead = bounds if end is None else bounds.until(end)
    found = connection.execute(way.places(connection, ahead, COMPARED + 1)).all()
    places = [row[-1] for row in found]
    matching, looked_at = _matching(connection, narrowed, places[:COMPARED])
    if looked_at < len(places):
        far = places[looked_at]
    elif end is not None:
        far = end.seq
    else:
        return Total(matching, True)
    span = _span(connection, bounds)
    return Total(_about(matching * (span.end - span.first) / max(1, span.end - far)), False)


def _matching(connection: Connection, narrowed: Narrowed, places: list[int]) -> tuple[int, int]:
    """How many of the rows there match, of how many that were looked at in time."""
    found = at = 0
    began = time.monotonic()
    while at < len(places) and time.monotonic() - began < COMPARED_SECONDS:
        matching = those(places[at : at + COMPARED_FIRST]), *narrowed.conditions
        if narrowed.arguments:
            found += len(taken(connection, narrowed.arguments, CALLS.where(*matching)))
        else:
            query = select(func.count()).select_from(JOINED).where(*matching)
            found += connection.execute(query).scalar_one()
        at += COMPARED_FIRST
    return found, min(at, len(places))


def _span(connection: Connection, bounds: Bounds) -> Bounds:
    """The bounds without what lies before the first and after the last task."""
    first, last = (connection.scalar(select(end(tasks.c.seq))) or 0 for end in (func.min, func.max))
    return Bounds(max(bounds.first, first), max(min(bounds.end, last + 1), first))


def _sampled(connection: Connection, way: Way, span: Bounds, sparse: int) -> int:
    """How many places it has in windows that lie evenly in a span, and are one part of so many."""
    step = max(sparse, (span.end - span.first) // WINDOWS)
    width = step // sparse
    window = select(literal(span.first + (step - width) // 2, BIG).label("first")).cte(
        recursive=True
    )
    following = (window.c.first + step).label("first")
    window = window.union_all(select(following).where(following < span.end))
    within = tasks.c.seq >= window.c.first, tasks.c.seq < window.c.first + width
    each = select(func.count()).select_from(tasks).where(*way.conditions, *within)
    counts = select(each.correlate(window).scalar_subquery().label("places")).select_from(window)
    query = select(func.coalesce(func.sum(counts.subquery().c.places), 0))
    return int(connection.execute(query).scalar_one())


def _about(estimated: float) -> int:
    """The number to two digits: more would say what nobody knows."""
    unit: int = 10 ** max(0, floor(log10(max(1.0, estimated))) - 1)
    return round(estimated / unit) * unit
