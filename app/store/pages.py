"""Pages of the task list: any filter, in order, from a cursor on."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_

from app.domain.errors import BadInput, FieldError
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task
from app.store.cursors import Place, parse_cursor, print_cursor
from app.store.database import Database
from app.store.schema import tasks
from app.store.selects import PLACES, SUMMARIES, read_summaries
from app.store.ways import Bounds, Narrowed, best, extent, narrow

MAX_PAGE = 500
"""Tasks of one page; a script that wants more follows the cursor."""
EXAMINED = 50_000
"""Rows that one call compares with the filter before it hands back what it has: about a quarter
of a second. The cursor then goes on from there, so a page can be short and not be the last."""
SEARCHED = 15_000
"""The same where texts are compared, at about 10 µs each."""
FIRST_CHUNK = 200
LARGEST_CHUNK = 10_000
"""Rows that are compared by one statement: few where most match, more where few do."""
SORTED = 20_000
"""Rows that are sorted by runtime at once; a filter with more is read along that index."""


@dataclass(frozen=True, slots=True)
class Page:
    """Summaries in order. `next` is the cursor of what follows, None at the end.

    A page can be short, even empty, and still have a `next`: the store looked at as much as
    one call may, and goes on from there.
    """

    tasks: list[Task]
    next: str | None


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
    descending = sort in (Sort.NEWEST, Sort.LONGEST)
    with db.reading() as connection:
        narrowed = narrow(connection, filter, descending=descending)
        if narrowed.empty:
            return Page([], None)
        if sort in (Sort.LONGEST, Sort.SHORTEST):
            found, last = _by_runtime(connection, narrowed, start, limit)
        else:
            found, last = _by_place(connection, narrowed, start, limit)
    return Page(found, None if last is None else print_cursor(sort, last))


def count_newer(db: Database, filter: TaskFilter, seq: int, cap: int = 100) -> int:
    """How many tasks that match came after that place, at most `cap`."""
    with db.reading() as connection:
        narrowed = narrow(connection, filter, descending=False)
        if narrowed.empty:
            return 0
        walk = _Walk(connection, narrowed, narrowed.bounds.after(seq))
        count = 0
        while count < cap and (query := walk.step(PLACES, cap - count)) is not None:
            count += len(connection.execute(query).all())
        return count


class _Walk:
    """Reads along the best way, chunk by chunk, until all or EXAMINED entries are seen."""

    def __init__(self, connection: Connection, narrowed: Narrowed, bounds: Bounds) -> None:
        self.connection = connection
        self.bounds = bounds
        self.way = best(connection, narrowed, bounds)
        self.at: int | None = None
        self.ended = False
        self._left = SEARCHED if narrowed.searched else EXAMINED
        self._chunk = FIRST_CHUNK

    def step(self, rows: Select[Any], limit: int) -> Select[Any] | None:
        """The query for the next rows that match, at most `limit`; None when there are no more."""
        if self.ended or self._left <= 0:
            return None
        chunk = limit if not self.way.rest else max(self._chunk, limit)
        far, count = extent(self.connection, self.way, self.bounds, chunk)
        self.ended = count < chunk
        if count == 0:
            return None
        places = self.way.places(self.connection, self.bounds, chunk)
        order = tasks.c.seq.desc() if self.bounds.descending else tasks.c.seq
        query = rows.where(tasks.c.seq.in_(places), *self.way.rest).order_by(order).limit(limit)
        self.at = far
        self.bounds = self.bounds.after(far)
        self._left -= count
        self._chunk = min(self._chunk * 4, LARGEST_CHUNK)
        return query


def _by_place(
    connection: Connection, narrowed: Narrowed, start: Place | None, limit: int
) -> tuple[list[Task], Place | None]:
    bounds = narrowed.bounds if start is None else narrowed.bounds.after(start.seq)
    walk = _Walk(connection, narrowed, bounds)
    found: list[Task] = []
    # One more than asked for tells whether there is a next page.
    while len(found) <= limit:
        query = walk.step(SUMMARIES, limit + 1 - len(found))
        if query is None:
            break
        found += read_summaries(connection, query)
    if len(found) > limit:
        return found[:limit], Place(found[limit - 1].seq)
    if walk.ended or walk.at is None:
        return found, None
    return found, Place(walk.at)


def _by_runtime(
    connection: Connection, narrowed: Narrowed, start: Place | None, limit: int
) -> tuple[list[Task], Place | None]:
    bounds = narrowed.bounds
    rows = [*narrowed.conditions, *bounds.conditions()]
    for way in narrowed.ways:
        if way.limited and extent(connection, way, bounds, SORTED + 1)[1] <= SORTED:
            rows.append(tasks.c.seq.in_(way.places(connection, bounds, SORTED)))
            query = SUMMARIES.where(*rows, *_beyond(start, bounds.descending))
            found = read_summaries(connection, _in_order(query, bounds.descending, limit + 1))
            return found[:limit], _last_of(found, limit)
    return _along_runtimes(connection, narrowed, rows, start, limit)


def _along_runtimes(
    connection: Connection,
    narrowed: Narrowed,
    rows: list[ColumnElement[bool]],
    start: Place | None,
    limit: int,
) -> tuple[list[Task], Place | None]:
    found: list[Task] = []
    descending = narrowed.bounds.descending
    left = SEARCHED if narrowed.searched else EXAMINED
    chunk, at = max(FIRST_CHUNK, limit + 1), start
    while left > 0:
        key = select(tasks.c.seq, tasks.c.runtime).where(*_beyond(at, descending))
        places = _in_order(key, descending, chunk).subquery()
        last = connection.execute(
            select(places.c.seq, places.c.runtime).offset(chunk - 1).limit(1)
        ).first()
        query = SUMMARIES.where(*rows, tasks.c.seq.in_(select(places.c.seq)))
        more = limit + 1 - len(found)
        found += read_summaries(connection, _in_order(query, descending, more))
        if len(found) > limit or last is None:
            return found[:limit], _last_of(found, limit)
        at = Place(last.seq, last.runtime)
        left -= chunk
        chunk = min(chunk * 4, LARGEST_CHUNK)
    return found, at


def _in_order(query: Select[Any], descending: bool, limit: int) -> Select[Any]:
    key = (tasks.c.runtime, tasks.c.seq)
    return query.order_by(*(part.desc() if descending else part for part in key)).limit(limit)


def _beyond(at: Place | None, descending: bool) -> list[ColumnElement[bool]]:
    known: list[ColumnElement[bool]] = [tasks.c.runtime.is_not(None)]
    if at is not None:
        key, place = tuple_(tasks.c.runtime, tasks.c.seq), tuple_(at.runtime, at.seq)
        known.append(key < place if descending else key > place)
    return known


def _last_of(found: list[Task], limit: int) -> Place | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return Place(last.seq, last.runtime)
