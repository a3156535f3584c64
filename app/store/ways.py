"""The ways by which the rows of a filter can be reached: each an index that is read in order.

A filter with several conditions is answered by reading along one index and comparing each entry
with the rest. The indexes of labels hold all that filters ask for, so no row is touched that is
not shown; only texts are compared in the rows. Which index is cheapest depends on the data, so it
is asked: each is read for a few thousand entries, and the one that came furthest in time with them
has the fewest.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from app.domain.arguments import Argument
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import ENDED, SEQ_SHIFT
from app.store import search
from app.store.bulk import is_postgres
from app.store.cursors import Place
from app.store.labels import Kind
from app.store.schema import STATE_CODES, labels, tasks

BRANCHES = 100
"""Parts that are read side by side and merged at most; filters with more values are compared
row by row."""
PREFIXED = 1_000
"""Labels that a prefix may stand for, to be looked up one by one."""
WORDS = 4
"""Words of arguments that are probed in the text index; of more, the first say enough."""
PROBED = 1_000
"""Entries that are read of each way to learn how far they reach, and of one to learn what reading
it takes: ten pages of its index."""

SKEW = 60.0
"""Seconds that a task may have ended before it was first heard of, clocks being what they are."""

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
    """Places from `first` on and before `end`, in one direction; `past` and `last` bound them in
    the order of runtimes, in which only tasks count that have one."""

    first: int = 0
    end: int = LAST
    descending: bool = True
    by_runtime: bool = False
    past: Place | None = None
    last: Place | None = None
    least: float | None = None
    """The shortest runtime, where they are in order of runtimes."""
    most: float | None = None
    """The first runtime beyond, where they are in order of runtimes."""
    sorting: bool = False
    """Runtimes are to be sorted, so no index of them is to be read for their order."""

    @property
    def limited(self) -> bool:
        """Whether they leave out any moment."""
        return self.first > 0 or self.end < LAST

    @property
    def keys(self) -> tuple[ColumnElement[Any], ...]:
        """What places are ordered by."""
        return (self._runtime, tasks.c.seq) if self.by_runtime else (tasks.c.seq,)

    @property
    def _runtime(self) -> ColumnElement[float]:
        return (tasks.c.runtime + 0.0).label("runtime") if self.sorting else tasks.c.runtime

    def after(self, place: Place) -> "Bounds":
        """What is left of them once `place` is passed."""
        if self.by_runtime:
            return replace(self, past=place)
        if self.descending:
            return replace(self, end=min(self.end, place.seq))
        return replace(self, first=max(self.first, place.seq + 1))

    def until(self, place: Place) -> "Bounds":
        """What is passed of them once `place` is."""
        if self.by_runtime:
            return replace(self, last=place)
        if self.descending:
            return replace(self, first=max(self.first, place.seq))
        return replace(self, end=min(self.end, place.seq + 1))

    def place(self, row: Sequence[Any]) -> Place:
        """The place that the keys of a row say."""
        return Place(row[-1], row[0] if self.by_runtime else None)

    def conditions(self) -> list[Condition]:
        found: list[Condition] = []
        if self.limited or not self.by_runtime:
            found += [tasks.c.seq >= self.first, tasks.c.seq < self.end]
        if self.by_runtime:
            found.append(self._runtime.is_not(None))
            if self.least is not None:
                found.append(self._runtime >= self.least)
            if self.most is not None:
                found.append(self._runtime < self.most)
        key = tuple_(self._runtime, tasks.c.seq)
        if self.past is not None:
            past = tuple_(self.past.runtime, self.past.seq)
            found.append(key < past if self.descending else key > past)
        if self.last is not None:
            last = tuple_(self.last.runtime, self.last.seq)
            found.append(key >= last if self.descending else key <= last)
        return found

    def order(self, keys: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """What to order by, where these columns stand for the keys."""
        return [each.desc() if self.descending else each for each in keys]


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

    `within` is what each entry must still be compared with, and can be without its row; `beside`
    what needs the row.
    """

    column: Column[Any] | None = None
    values: tuple[int, ...] = ()
    within: tuple[Condition, ...] = ()
    beside: tuple[Condition, ...] = ()
    word: str | None = None
    covering: bool = False
    """Whether its entries tell the runtime too."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What its entries have in common, whatever their branch, and are compared with."""
        return (*([] if self.column is None else [self.column.in_(self.values)]), *self.within)

    @property
    def branches(self) -> list[tuple[Condition, ...]]:
        """What each part of it is looked up by."""
        if self.column is None:
            return [()]
        return [(self.column == value,) for value in self.values]

    @property
    def entries(self) -> "Way":
        """The same way with nothing left to compare."""
        return replace(self, within=(), beside=())

    def places(
        self, connection: Connection, bounds: Bounds, limit: int, offset: int = 0
    ) -> Select[Any]:
        """The first `limit` places along it within bounds, in order; `seq` is the last column."""
        if self.word is not None:
            first, end, down = bounds.first, bounds.end, bounds.descending
            found = search.places(connection, self.word, first, end, down, offset + limit)
            return found.offset(offset)
        given = (*self.within, *bounds.conditions())
        parts = [select(*bounds.keys).where(*branch, *given) for branch in self.branches]
        order = bounds.order(bounds.keys)
        if len(parts) == 1:
            return parts[0].order_by(*order).limit(limit).offset(offset or None)
        if is_postgres(connection):
            # It merges what is in order by itself only where that is asked of each part.
            cut = [part.order_by(*order).limit(offset + limit) for part in parts]
            parts = [select(*part.subquery().c) for part in cut]
        merged = union_all(*parts)
        merged = merged.order_by(*bounds.order(merged.selected_columns))
        return select(*merged.limit(limit).offset(offset or None).subquery().c)


@dataclass(slots=True)
class Narrowed:
    """A filter as conditions on rows, and the ways to reach them.

    `empty`: none can match. `labelled`, `ran` and `texts` are what is asked of labels, of the
    runtime and of what only the rows tell, texts mostly, `codes` the states, none for any.
    `arguments` are compared by `app.store.arguments` with what all conditions let through; where
    there are any, so are texts.
    """

    bounds: Bounds
    codes: tuple[int, ...] = ()
    ways: list[Way] = field(default_factory=list)
    labelled: tuple[Condition, ...] = ()
    ran: tuple[Condition, ...] = ()
    texts: tuple[Condition, ...] = ()
    arguments: tuple[Argument, ...] = ()
    empty: bool = False

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All that is asked of a row but for its place."""
        return (*self.stated, *self.labelled, *self.ran, *self.texts)

    @property
    def stated(self) -> tuple[Condition, ...]:
        return (compared(tasks.c.state, self.codes),) if self.codes else ()


def compared(column: Column[Any], numbers: Sequence[int] | Select[tuple[int]]) -> Condition:
    """A condition that is compared and never looked up: which index is read is decided here."""
    return (column + 0).in_(numbers)


def narrow(connection: Connection, wanted: TaskFilter, sort: Sort) -> Narrowed:
    """What the store makes of a filter."""
    codes = tuple(STATE_CODES[state] for state in wanted.states)
    found = Narrowed(_bounds(wanted, sort), codes)
    reached: dict[Kind, list[int]] = {}
    each: dict[Kind, Condition] = {}
    for kind, patterns in _patterns(wanted):
        numbers = _numbers(connection, kind, patterns)
        if not numbers:
            found.empty = True
            return found
        if len(numbers) < PREFIXED:
            reached[kind] = numbers
            each[kind] = compared(_COLUMNS[kind], numbers)
        else:
            each[kind] = compared(_COLUMNS[kind], _matching(kind, patterns))
    left_out = _left_out(connection, wanted)
    found.labelled = (*each.values(), *left_out)
    found.ran = _ran(wanted)
    found.texts = (*_ended(wanted), *_texts(connection, wanted))
    found.arguments = wanted.arguments
    beside = (*found.ran, *found.texts)
    for kind, numbers in reached.items():
        if len(numbers) <= BRANCHES:
            others = tuple(condition for other, condition in each.items() if other != kind)
            within = (*found.stated, *others, *left_out, *found.ran)
            found.ways.append(
                Way(_COLUMNS[kind], tuple(numbers), within, found.texts, covering=True)
            )
    if codes or (found.labelled and not found.ways):
        found.ways.append(by_state(codes, found.labelled, beside))
    found.ways += [Way(beside=found.conditions, word=word) for word in _sought(connection, wanted)]
    found.ways = found.ways or [Way(beside=beside)]
    return found


def _texts(connection: Connection, wanted: TaskFilter) -> tuple[Condition, ...]:
    words = dict.fromkeys(wanted.words)
    for argument in wanted.arguments:
        if not argument.negated:
            words |= dict.fromkeys(argument.words)
    found = [search.matches(connection, tuple(words))] if words else []
    found += search.lacks(connection, wanted.no_words)
    return (*found, true()) if wanted.arguments else tuple(found)


def _sought(connection: Connection, wanted: TaskFilter) -> list[str]:
    """The words that the text index can be read along: of a search the longest, of arguments
    each, for a name is in all calls of a task and its value in few."""
    sets = [wanted.words]
    for argument in wanted.arguments:
        if not argument.negated:
            sets += [(word,) for word in argument.words]
    found = [search.to_look_up(connection, words) for words in sets[: 1 + WORDS]]
    known = [word for word in found if word is not None]
    return list(dict.fromkeys(part for word in known for part in search.parts(connection, word)))


def _ran(wanted: TaskFilter) -> tuple[Condition, ...]:
    # Compared and never looked up, like labels: which index is read is decided here.
    runtime = tasks.c.runtime + 0.0
    found: list[Condition] = []
    if wanted.least_runtime is not None:
        found.append(runtime >= wanted.least_runtime)
    if wanted.most_runtime is not None:
        found.append(runtime < wanted.most_runtime)
    return tuple(found)


def _ended(wanted: TaskFilter) -> list[Condition]:
    """When it ended, which only its row tells."""
    if not wanted.ended:
        return []
    at = tasks.c.finished_at
    found = [compared(tasks.c.state, [STATE_CODES[state] for state in ENDED])]
    if wanted.ended_since is not None:
        found.append(at >= wanted.ended_since)
    if wanted.ended_until is not None:
        found.append(at < wanted.ended_until)
    return found


def _left_out(connection: Connection, wanted: TaskFilter) -> list[Condition]:
    """What is asked of labels that must not be: a task without one passes."""
    found: list[Condition] = []
    for kind, patterns in (
        (Kind.NAME, wanted.no_names),
        (Kind.QUEUE, wanted.no_queues),
        (Kind.WORKER, wanted.no_workers),
    ):
        numbers = _numbers(connection, kind, patterns) if patterns else []
        if numbers:
            several = len(numbers) >= PREFIXED
            gone = _matching(kind, patterns) if several else numbers
            column = _COLUMNS[kind]
            found.append(or_(column.is_(None), (column + 0).not_in(gone)))
    return found


def _bounds(wanted: TaskFilter, sort: Sort) -> Bounds:
    first = 0 if wanted.since is None else place_of(wanted.since)
    end = LAST if wanted.until is None else place_of(wanted.until)
    if wanted.ended_until is not None:
        end = min(end, place_of(wanted.ended_until + SKEW))
    descending = sort in (Sort.NEWEST, Sort.LONGEST)
    by_runtime = sort in (Sort.LONGEST, Sort.SHORTEST)
    least, most = wanted.least_runtime, wanted.most_runtime
    return Bounds(first, end, descending, by_runtime, least=least, most=most)


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


def by_state(
    codes: Sequence[int], within: tuple[Condition, ...], beside: tuple[Condition, ...]
) -> Way:
    """The way along tasks in these states, none for any: in order of places, or of runtimes."""
    codes = codes or tuple(STATE_CODES.values())
    return Way(tasks.c.state, tuple(codes), within, beside)


def best(connection: Connection, ways: Sequence[Way], bounds: Bounds) -> Way:
    """The way with the fewest rows to look at, as far as its first entries tell."""
    if len(ways) == 1:
        return ways[0]
    return max(ways, key=lambda way: reach(connection, way, bounds, PROBED))


def reach(connection: Connection, way: Way, bounds: Bounds, entries: int) -> tuple[int, int]:
    """How far so many entries reach, and how few there are: the greater, the fewer rows."""
    far, count = extent(connection, way, bounds, entries)
    if count < entries:
        return LAST, -count
    return (bounds.end - far if bounds.descending else far - bounds.first), 0


def extent(connection: Connection, way: Way, bounds: Bounds, entries: int) -> tuple[int, int]:
    """The furthest seq of the next so many entries, and how many there are."""
    places = way.entries.places(connection, bounds, entries).subquery()
    furthest = func.min if bounds.descending else func.max
    far, count = connection.execute(
        select(furthest(places.c.seq), func.count()).select_from(places)
    ).one()
    return far or 0, count


def nth(connection: Connection, way: Way, bounds: Bounds, number: int) -> Place | None:
    """The place of the next so many-th entry; None if there are fewer."""
    row = connection.execute(way.entries.places(connection, bounds, 1, number - 1)).first()
    return None if row is None else bounds.place(row)


def count(connection: Connection, way: Way, bounds: Bounds, most: int) -> int:
    """How many places it has, at most so many: its branches one after the other, which takes a
    fifth of reading them in order."""
    rows = select(literal(1)).select_from(tasks).where(*way.conditions, *bounds.conditions())
    cut = rows.limit(most).subquery()
    found: int = connection.execute(select(func.count()).select_from(cut)).scalar_one()
    return found


def few(connection: Connection, way: Way, bounds: Bounds, most: int, seconds: float) -> bool:
    """Whether it has so many places at most, and that can be found out in about that time: on a
    disk an entry may take a hundred times what it does in memory."""
    began = time.monotonic()
    if count(connection, way, bounds, PROBED + 1) <= PROBED:
        return True
    fit = min(most, int(PROBED * seconds / (time.monotonic() - began)))
    return fit > PROBED and count(connection, way, bounds, fit + 1) <= fit


def those(places: Iterable[int]) -> Condition:
    """The condition on a row to be at one of these places: they were found, and are not looked for
    twice."""
    seqs: BindParameter[Any] = bindparam("places", list(places), expanding=True)
    return tasks.c.seq.in_(seqs)
