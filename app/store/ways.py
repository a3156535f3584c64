"""The ways by which the rows of a filter can be reached: each an index that is read in order.

A filter with several conditions is answered by reading along one index and comparing each row
with the rest. Which index is cheapest depends on the data, so it is asked: each is read for a
few thousand entries, and the one that came furthest in time with them has the fewest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, union_all

from app.domain.filters import TaskFilter
from app.domain.tasks import SEQ_SHIFT
from app.store import search
from app.store.bulk import is_postgres
from app.store.labels import Kind
from app.store.schema import STATE_CODES, labels, tasks

BRANCHES = 100
"""Parts that are read side by side and merged at most; filters with more values are compared
row by row."""
PREFIXED = 1_000
"""Labels that a prefix may stand for, to be looked up one by one."""

LAST = 2**62
"""Beyond every place."""

Condition = ColumnElement[bool]
_COLUMNS = {
    Kind.NAME: tasks.c.name_id,
    Kind.QUEUE: tasks.c.queue_id,
    Kind.WORKER: tasks.c.worker_id,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Places from `first` on and before `end`, in one direction."""

    first: int = 0
    end: int = LAST
    descending: bool = True

    def after(self, seq: int) -> "Bounds":
        """What is left of them once `seq` is passed."""
        if self.descending:
            return Bounds(self.first, min(self.end, seq), True)
        return Bounds(max(self.first, seq + 1), self.end, False)

    def conditions(self) -> list[Condition]:
        return [tasks.c.seq >= self.first, tasks.c.seq < self.end]


def place_of(moment: float) -> int:
    """The first place whose time is not before that moment, exactly as `seq_time` rounds."""
    micros = int(moment * 1_000_000)
    while micros / 1_000_000 < moment:
        micros += 1
    while micros > 0 and (micros - 1) / 1_000_000 >= moment:
        micros -= 1
    return micros << SEQ_SHIFT


@dataclass(frozen=True, slots=True)
class Way:
    """One index to read along. `branches` are merged; none: the table itself, or the text index.

    `rest` is what each row must still be compared with.
    """

    branches: tuple[tuple[Condition, ...], ...] = ((),)
    rest: tuple[Condition, ...] = ()
    word: str | None = None

    @property
    def limited(self) -> bool:
        """Whether it leaves out any row at all."""
        return self.word is not None or self.branches != ((),)

    def places(self, connection: Connection, bounds: Bounds, limit: int) -> Select[tuple[int]]:
        """The first `limit` places along it within bounds, as `seq`."""
        if self.word is not None:
            first, end, down = bounds.first, bounds.end, bounds.descending
            return search.places(connection, self.word, first, end, down, limit)
        parts = [
            select(tasks.c.seq).where(*branch, *bounds.conditions()) for branch in self.branches
        ]
        order = tasks.c.seq.desc() if bounds.descending else tasks.c.seq.asc()
        if len(parts) == 1:
            return parts[0].order_by(order).limit(limit)
        if is_postgres(connection):
            # It merges what is in order by itself only where that is asked of each part.
            parts = [select(part.order_by(order).limit(limit).subquery().c.seq) for part in parts]
        merged = union_all(*parts)
        place = merged.selected_columns.seq
        merged_order = place.desc() if bounds.descending else place.asc()
        found = merged.order_by(merged_order).limit(limit).subquery()
        return select(found.c.seq)


@dataclass(slots=True)
class Narrowed:
    """A filter as conditions on rows, and the ways to reach them.

    `empty`: none can match. `searched`: texts are compared, which takes longer.
    """

    bounds: Bounds = field(default_factory=Bounds)
    ways: list[Way] = field(default_factory=list)
    conditions: tuple[Condition, ...] = ()
    empty: bool = False
    searched: bool = False


def narrow(connection: Connection, wanted: TaskFilter, *, descending: bool) -> Narrowed:
    """What the store makes of a filter."""
    found = Narrowed(_bounds(wanted, descending))
    codes = tuple(STATE_CODES[state] for state in wanted.states)
    each: dict[str, Condition] = {}
    if codes:
        each["state"] = tasks.c.state.in_(codes)
    reached: dict[Kind, list[int]] = {}
    for kind, patterns in _patterns(wanted):
        numbers = _numbers(connection, kind, patterns)
        if not numbers:
            found.empty = True
            return found
        if len(numbers) < PREFIXED:
            reached[kind] = numbers
            each[kind.name] = _COLUMNS[kind].in_(numbers)
        else:
            each[kind.name] = _COLUMNS[kind].in_(_matching(kind, patterns))
    if wanted.words:
        each["text"] = search.matches(connection, wanted.words)
        found.searched = True
    found.conditions = tuple(each.values())
    word = search.to_look_up(connection, wanted.words)
    found.ways = list(_ways(reached, codes, word, each))
    return found


def _bounds(wanted: TaskFilter, descending: bool) -> Bounds:
    first = 0 if wanted.since is None else place_of(wanted.since)
    end = LAST if wanted.until is None else place_of(wanted.until)
    return Bounds(first, end, descending)


def _patterns(wanted: TaskFilter) -> list[tuple[Kind, tuple[str, ...]]]:
    given = ((Kind.NAME, wanted.names), (Kind.QUEUE, wanted.queues), (Kind.WORKER, wanted.workers))
    return [(kind, patterns) for kind, patterns in given if patterns]


def _matching(kind: Kind, patterns: Sequence[str]) -> Select[tuple[int]]:
    exact = [pattern for pattern in patterns if not pattern.endswith("*")]
    choices: list[Condition] = [labels.c.value.in_(exact)] if exact else []
    for pattern in patterns:
        if pattern.endswith("*"):
            begins = pattern[:-1]
            choices.append(labels.c.value.between(begins, begins + "\U0010ffff"))
    return select(labels.c.id).where(labels.c.kind == int(kind), or_(*choices))


def _numbers(connection: Connection, kind: Kind, patterns: Sequence[str]) -> list[int]:
    return list(connection.scalars(_matching(kind, patterns).limit(PREFIXED)))


def _ways(
    reached: dict[Kind, list[int]],
    codes: tuple[int, ...],
    word: str | None,
    each: dict[str, Condition],
) -> Iterator[Way]:
    """Every way that there is; the table itself only where there is no other."""
    any_state = codes or tuple(STATE_CODES.values())
    ways = 0

    def rest(*covered: str) -> tuple[Condition, ...]:
        return tuple(condition for name, condition in each.items() if name not in covered)

    for kind, numbers in reached.items():
        if len(numbers) * len(any_state) <= BRANCHES:
            branches = tuple(
                (_COLUMNS[kind] == number, tasks.c.state == code)
                for number, code in product(numbers, any_state)
            )
            ways += 1
            yield Way(branches, rest(kind.name, "state"))
    if codes and not ways:
        ways += 1
        yield Way(tuple((tasks.c.state == code,) for code in codes), rest("state"))
    if word is not None:
        ways += 1
        yield Way(rest=rest(), word=word)
    if not ways:
        yield Way(rest=rest())


PROBED = 2_000
"""Entries that are read of each way to learn how far they reach."""


def best(connection: Connection, narrowed: Narrowed, bounds: Bounds) -> Way:
    """The way with the fewest rows to look at, as far as its first entries tell."""
    if len(narrowed.ways) == 1:
        return narrowed.ways[0]
    return max(narrowed.ways, key=lambda way: reach(connection, way, bounds, PROBED))


def reach(connection: Connection, way: Way, bounds: Bounds, entries: int) -> tuple[int, int]:
    """How far so many entries reach, and how few there are: the greater, the fewer rows."""
    far, count = extent(connection, way, bounds, entries)
    if count < entries:
        return LAST, -count
    return (bounds.end - far if bounds.descending else far - bounds.first), 0


def extent(connection: Connection, way: Way, bounds: Bounds, entries: int) -> tuple[int, int]:
    """The furthest of the next so many entries, and how many there are."""
    places = way.places(connection, bounds, entries).subquery()
    furthest = func.min if bounds.descending else func.max
    far, count = connection.execute(
        select(furthest(places.c.seq), func.count()).select_from(places)
    ).one()
    return far or 0, count
