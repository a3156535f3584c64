"""Rows of figures: what ended in a minute, ten minutes, an hour or a day, by kind, label and state.

Where a row stands is one number, its place: level, kind, first minute, label and state, in that
order. So all rows of one kind in a time stand together, and one is found like a task is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, Integer, delete, literal, select

from app.domain.lanes import pack, unpack
from app.domain.sketch import Sketch
from app.store.bulk import Insert, look_up
from app.store.labels import Kind
from app.store.schema import rollups


class Level(NamedTuple):
    """How long a row's time is, and for how long such rows are kept, in seconds."""

    code: int
    step: int
    kept: int


MINUTES = Level(0, 60, 7 * 3_600)
"""Kept for charts of six hours, and one more for where those begin."""
TENS = Level(1, 600, 26 * 3_600)
"""Kept for charts of a day."""
HOURS = Level(2, 3_600, 32 * 86_400)
"""Kept for charts of a month: with 100 labels some 50 MB."""
DAYS = Level(3, 86_400, 400 * 86_400)
"""Kept for a year, if tasks are."""
LEVELS = (MINUTES, TENS, HOURS, DAYS)

ALL = 0
"""The kind of rows about everything; the others are those of labels."""
UNKNOWN = 0
"""The label of what has none, and of everything."""
OTHERS = (1 << 24) - 1
"""The label of those that are not followed one by one."""
LAST_MINUTE = (1 << 27) - 1
"""In the year 2225, to which a clock is held that is centuries off."""

_FIRST_MINUTE, _LABEL, _STATE = 27, 24, 4
"""Bits of each part of a place; kind and level have two and stand before them."""


@dataclass(slots=True)
class Sums:
    """Tasks that ended: how many, of how many of these the story is whole, how long they ran and
    waited. All of it can be below 0 in what is to be added to others."""

    count: int = 0
    whole: int = 0
    run: Sketch = field(default_factory=Sketch)
    wait: Sketch = field(default_factory=Sketch)

    def merge(self, other: "Sums") -> None:
        """Adds all of another one."""
        self.count += other.count
        self.whole += other.whole
        self.run.merge(other.run)
        self.wait.merge(other.wait)

    def settle(self) -> None:
        """Makes it cheap to be merged often."""
        self.run.settled()
        self.wait.settled()


class Row(NamedTuple):
    """One row: `moment` is the first second of its time, `state` a state's code."""

    moment: int
    label: int
    state: int
    sums: Sums


def place_of(level: Level, kind: int, moment: float, label: int = 0, state: int = 0) -> int:
    """Where the row about a time, which begins with a whole minute, stands."""
    minute = int(max(0, min(moment // 60, LAST_MINUTE)))
    period = (level.code << 2 | kind) << _FIRST_MINUTE | minute
    return (period << _LABEL | label) << _STATE | state


def period_of(place: int) -> int:
    """The first place of all rows of the same level, kind and time."""
    return place >> (_LABEL + _STATE) << (_LABEL + _STATE)


def label_of(place: int) -> int:
    """The number of the label at a place."""
    return place >> _STATE & OTHERS


def kind_of(place: int) -> int:
    """The kind of the row at a place."""
    return place >> (_FIRST_MINUTE + _LABEL + _STATE) & 3


def with_label(place: int, label: int) -> int:
    """The place of the same row of another label."""
    return place ^ (label_of(place) ^ label) << _STATE


_COLUMNS = tuple(column.name for column in rollups.columns)
_PUT = Insert(
    rollups,
    _COLUMNS,
    "ON CONFLICT (place) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:]),
)
_FIND = f"SELECT {', '.join(_COLUMNS)} FROM rollups WHERE place IN ({{}})"  # noqa: S608


_NUMBER = rollups.c.place.bitwise_rshift(literal(_STATE, Integer))
"""A place without its state; PostgreSQL shifts by integers alone."""


def add(connection: Connection, added: Mapping[int, Sums]) -> None:
    """Adds to the rows at these places, which are made where there are none."""
    places = sorted(added)
    found = {cells[0]: _sums(*cells[1:]) for cells in look_up(connection, _FIND, places)}
    for place in places:
        found.setdefault(place, Sums()).merge(added[place])
    _PUT.run(connection, [(place, *_cells(found[place])) for place in places])


def read(
    connection: Connection,
    level: Level,
    kind: int,
    since: float,
    until: float,
    label: int | None = None,
) -> Iterator[Row]:
    """Rows of a kind whose time begins from `since` on and before `until`, in order of time; of
    one label, or of all."""
    place = rollups.c.place
    first, end = (place_of(level, kind, moment) for moment in (since, until))
    query = select(*rollups.columns).where(place >= first, place < end).order_by(place)
    if label is not None:
        query = query.where(_NUMBER.bitwise_and(OTHERS) == label)
    for cells in connection.execute(query).all():
        yield _row(cells[0], _sums(*cells[1:]))


def first_of(connection: Connection, level: Level, since: float, until: float) -> int | None:
    """The first second of the first row about everything whose time begins from `since` on and
    before `until`."""
    place = rollups.c.place
    first, end = (place_of(level, ALL, moment) for moment in (since, until))
    query = select(place).where(place >= first, place < end).order_by(place).limit(1)
    found: int | None = connection.scalar(query)
    return None if found is None else _minute_of(found) * 60


def labels_at(connection: Connection, period: int) -> Iterable[int]:
    """The labels that have rows in a period (see `period_of`)."""
    inside = (rollups.c.place >= period, rollups.c.place < period + (1 << (_LABEL + _STATE)))
    query = select(_NUMBER).where(*inside).distinct()
    return [found & OTHERS for found in connection.scalars(query)]


def remove_before(connection: Connection, level: Level, before: float, limit: int) -> int:
    """Deletes rows of a level whose time had ended at a moment, at most `limit` of each kind; how
    many."""
    count = 0
    place = rollups.c.place
    for kind in (ALL, *Kind):
        first, end = place_of(level, kind, 0), place_of(level, kind, before - level.step + 1)
        old = select(place).where(place >= first, place < end).order_by(place)
        end = connection.scalar(old.offset(limit).limit(1)) or end
        count += connection.execute(delete(rollups).where(place >= first, place < end)).rowcount
    return count


def _minute_of(place: int) -> int:
    return place >> (_LABEL + _STATE) & LAST_MINUTE


def _row(place: int, sums: Sums) -> Row:
    return Row(_minute_of(place) * 60, label_of(place), place & ((1 << _STATE) - 1), sums)


def _sums(
    count: int,
    whole: int,
    runtimes: int,
    runtime_sum: float,
    runtime_sketch: bytes,
    waits: int,
    wait_sum: float,
    wait_sketch: bytes,
) -> Sums:
    run = Sketch(runtimes, runtime_sum, lanes=unpack(runtime_sketch))
    return Sums(count, whole, run, Sketch(waits, wait_sum, lanes=unpack(wait_sketch)))


def _cells(sums: Sums) -> tuple[object, ...]:
    return sums.count, sums.whole, *_sketched(sums.run), *_sketched(sums.wait)


def _sketched(sketch: Sketch) -> tuple[int, float, bytes]:
    return sketch.count, sketch.total, pack(sketch.settled())
