"""Pages of the task list: any filter, in order, from a cursor on."""

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, func, select

from app.domain.errors import BadInput, FieldError
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task
from app.store.arguments import compared_rows
from app.store.cursors import Place, parse_cursor, print_cursor
from app.store.database import Database
from app.store.runtimes import few_ran
from app.store.schema import tasks
from app.store.selects import PLACES, SUMMARIES, read_summaries
from app.store.ways import Bounds, Narrowed, Way, best, by_state, few, narrow, nth, those

MAX_PAGE = 500
"""Tasks of one page; a script that wants more follows the cursor."""
SECONDS = 0.06
"""After so long a call hands back what it has, and a cursor that goes on from there: a page can be
short and not be the last. A step is begun only where it should end by then."""
ENTRIES = (2_000, 20_000, 150_000)
"""Entries of an index that one step after the other compares: few where most match, more where few
do, at some 0.2 µs each."""
ROWS = (60, 400, 2_000)
"""The same of rows whose texts are compared, at 10 to 20 µs each, and a disk's seek where they are
not in memory."""
EXAMINED = 500_000
"""Entries that one call compares at most, as some machines are fast."""
SEARCHED = 15_000
"""The same of rows whose texts are compared."""

SORTED = 150_000
"""Entries of an index that are sorted by runtime at once; of more, tasks are read by runtime."""
ROWS_SORTED = 4_000
"""The same of rows."""
SORTING_SECONDS = 0.1
"""What reading these may take."""

T = TypeVar("T")
Read = Callable[[Connection, Select[Any]], Sequence[T]]


@dataclass(frozen=True, slots=True)
class Page:
    """Summaries in order. `next` is the cursor of what follows, None at the end.

    A page can be short, even empty, and still have a `next`: the store looked at as much as
    one call may, and goes on from there.
    """

    tasks: list[Task]
    next: str | None

    def is_all(self, sort: Sort, cursor: str | None) -> bool:
        """Whether it has all that match; by runtime those without one are left out."""
        by_time = sort in (Sort.NEWEST, Sort.OLDEST)
        return by_time and cursor is None and self.next is None


def page(
    db: Database,
    filter: TaskFilter,
    *,
    sort: Sort = Sort.NEWEST,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """One page. By runtime, only tasks that have one. Raises BadInput for a limit outside
    1..MAX_PAGE and for a cursor that isn't ours."""
    if not 1 <= limit <= MAX_PAGE:
        error = FieldError(("query", "limit"), f"{limit} is not from 1 to {MAX_PAGE}")
        raise BadInput("A page can't be that long.", (error,))
    start = None if cursor is None else parse_cursor(sort, cursor)
    with db.reading() as connection:
        narrowed = narrow(connection, filter, sort)
        if narrowed.empty:
            return Page([], None)
        bounds = narrowed.bounds if start is None else narrowed.bounds.after(start)
        if bounds.by_runtime:
            few = _sorted(connection, narrowed, bounds, limit + 1)
        else:
            few = few_ran(connection, narrowed, bounds, limit + 1)
        if few is not None:
            found, last = read_summaries(connection, few), None
        else:
            found, last = _walked(connection, narrowed, bounds, limit + 1)
    if len(found) > limit:
        found = found[:limit]
        last = Place(found[-1].seq, found[-1].runtime if bounds.by_runtime else None)
    return Page(found, None if last is None else print_cursor(sort, last))


def count_unseen(
    db: Database, filter: TaskFilter, since: int, seen: Set[int], cap: int = 100
) -> int:
    """How many tasks that match are at that place or after it and not among the places that were
    `seen`: at most `cap`, as far as one call looks."""
    with db.reading() as connection:
        narrowed = narrow(connection, filter, Sort.NEWEST)
        if narrowed.empty:
            return 0
        bounds = narrowed.bounds
        walk = _Walk(connection, narrowed, replace(bounds, first=max(bounds.first, since)))
        count, most = 0, cap + len(seen)
        while count < cap and walk.goes_on:
            found = walk.step(PLACES, most, _places)
            most -= len(found)
            count += sum(place.seq not in seen for place in found)
        return min(count, cap)


def _walked(
    connection: Connection, narrowed: Narrowed, bounds: Bounds, limit: int
) -> tuple[list[Task], Place | None]:
    """The next tasks, and where to go on if it was not looked to the end."""
    walk = _Walk(connection, narrowed, bounds)
    found: list[Task] = []
    while len(found) < limit and walk.goes_on:
        found += walk.step(SUMMARIES, limit - len(found), read_summaries)
    return found, None if walk.ended else walk.at


class _Walk:
    """Reads along the best way, step by step, until all or as much as one call may is seen."""

    def __init__(self, connection: Connection, narrowed: Narrowed, bounds: Bounds) -> None:
        self.at: Place | None = None
        self.ended = False
        self._connection = connection
        self._bounds = bounds
        self._narrowed = narrowed
        if bounds.by_runtime:
            self._way = by_state(narrowed.codes, narrowed.labelled, narrowed.texts)
        else:
            self._way = best(connection, narrowed.ways, bounds)
        self._steps = iter(ROWS if self._way.beside else ENTRIES)
        self._left = SEARCHED if self._way.beside else EXAMINED
        self._chunk = 0
        self._looked_at = 0
        self._began = time.monotonic()

    @property
    def goes_on(self) -> bool:
        """Whether there may be more, and one call may look for it."""
        return not self.ended and self._left > 0 and self._spare > 0

    @property
    def _spare(self) -> float:
        """Seconds that are left."""
        return self._began + SECONDS - time.monotonic()

    def _next_chunk(self, limit: int) -> int:
        """Entries or rows of the next step: more than before, as far as they fit into the time at
        the pace of those before."""
        wanted = next(self._steps, self._chunk)
        if self._looked_at:
            each = (SECONDS - self._spare) / self._looked_at
            wanted = min(wanted, max(int(self._spare / each), self._chunk))
        return max(wanted, limit)

    def step(self, rows: Select[Any], limit: int, read: Read[T]) -> Sequence[T]:
        """The next rows that match, at most `limit`; few or none says nothing of what follows."""
        way = self._way
        if not way.within and not way.beside:
            found = self._read(rows, self._bounds, limit, read)
            self.ended = len(found) < limit
            return found
        self._chunk = self._next_chunk(limit)
        return (self._searched if way.beside else self._compared)(rows, limit, read)

    def _compared(self, rows: Select[Any], limit: int, read: Read[T]) -> Sequence[T]:
        """Of the next entries those that match, found without their rows."""
        far = nth(self._connection, self._way, self._bounds, self._chunk)
        ahead = self._bounds if far is None else self._bounds.until(far)
        self._pass(far)
        return self._read(rows, ahead, limit, read)

    def _searched(self, rows: Select[Any], limit: int, read: Read[T]) -> Sequence[T]:
        """Of the next rows those whose texts match."""
        bounds, way = self._bounds, self._way
        # Where few entries match, as many as one step compares are looked at and no more.
        end = nth(self._connection, way, bounds, self._entries()) if way.within else None
        ahead = bounds if end is None else bounds.until(end)
        next_rows = self._connection.execute(way.places(self._connection, ahead, self._chunk)).all()
        self._pass(bounds.place(next_rows[-1]) if len(next_rows) == self._chunk else end)
        if not next_rows:
            return []
        found = compared_rows(
            self._connection, self._narrowed.arguments, rows, next_rows, way.beside
        )
        return read(self._connection, found.order_by(*bounds.order(bounds.keys)).limit(limit))

    def _entries(self) -> int:
        """How many entries one step looks at for its rows."""
        return max(ENTRIES[-1] * self._chunk // ROWS[-1], self._chunk)

    def _pass(self, far: Place | None) -> None:
        if far is None:
            self.ended = True
        else:
            self.at, self._bounds = far, self._bounds.after(far)
        self._left -= self._chunk
        self._looked_at += self._chunk

    def _read(self, rows: Select[Any], bounds: Bounds, limit: int, read: Read[T]) -> Sequence[T]:
        places = self._way.places(self._connection, bounds, limit).subquery()
        query = rows.where(tasks.c.seq.in_(select(places.c.seq)))
        return read(self._connection, query.order_by(*bounds.order(bounds.keys)).limit(limit))


def _places(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    return connection.execute(query).all()


def _sorted(
    connection: Connection, narrowed: Narrowed, bounds: Bounds, limit: int
) -> Select[Any] | None:
    """The next tasks by runtime where those that match are few enough to be sorted."""
    moments = replace(bounds, by_runtime=False, past=None)
    sorting = replace(bounds, sorting=True)
    covering = [way for way in narrowed.ways if way.covering and not way.beside]
    if covering:
        way = best(connection, covering, moments)
        if few(connection, way.entries, moments, SORTED, SECONDS):
            places = way.places(connection, sorting, limit).subquery()
            query = SUMMARIES.where(tasks.c.seq.in_(select(places.c.seq)))
            return query.order_by(*sorting.order(sorting.keys))
    return _rows_sorted(connection, narrowed, sorting, limit)


def _rows_sorted(
    connection: Connection, narrowed: Narrowed, sorting: Bounds, limit: int
) -> Select[Any] | None:
    """The same where rows have to be read, of a word or of some time."""
    moments = replace(sorting, by_runtime=False, past=None)
    ways = [way.entries for way in narrowed.ways if way.word is not None]
    every = by_state((), (), ())
    if sorting.limited and few(connection, every, moments, ROWS_SORTED, SECONDS):
        ways.append(Way())
    for way in ways:
        found = connection.execute(way.places(connection, moments, ROWS_SORTED + 1)).all()
        if len(found) <= ROWS_SORTED and _readable(connection, [row[-1] for row in found]):
            given = (*narrowed.conditions, *sorting.conditions())
            query = compared_rows(connection, narrowed.arguments, SUMMARIES, found, given)
            return query.order_by(*sorting.order(sorting.keys)).limit(limit)
    return None


def _readable(connection: Connection, places: Sequence[int]) -> bool:
    """Whether rows there can be read in time, as far as the first of them tell: where they are
    not in memory, one of a word stands here, one there."""
    began = time.monotonic()
    some = places[: ROWS[0]]
    connection.execute(select(func.max(tasks.c.runtime)).where(those(some))).all()
    return (time.monotonic() - began) * len(places) <= SORTING_SECONDS * len(some)
