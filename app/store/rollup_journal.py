"""What each commit adds to the figures, written down as it is and added to the rows now and then.

A commit changes some hundred rows of figures at four levels. Changing them twenty times a second
would cost more than all the rest of it; one short row of a journal costs nothing, stands in the
same transaction, and whoever reads figures reads it, too. What is in it is added to the rows by the
commit that finds it full, so that a crash at any moment leaves nothing out and nothing twice.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select

from app.domain.sketch import Sketch
from app.store import rollup_rows
from app.store.bulk import Insert
from app.store.labels import Kind
from app.store.rollup_rows import ALL, LEVELS, OTHERS, UNKNOWN, Sums, place_of
from app.store.schema import labels, rollup_journal

ROWS = 500
"""Commits in the journal, at most: half a minute of the usual ones, and a reading of 3 ms."""
ENTRIES = 5_000
"""What they have together; adding them takes some 50 ms, in which no other commit is made."""
FOLLOWED = {Kind.NAME: 300, Kind.QUEUE: 100, Kind.WORKER: 300}
"""Labels of a kind that have rows of their own in one minute, hour or day, the first ones and of
these the busiest; those beyond are counted together as OTHERS. It bounds a day's rows to some
two million, where forty names, twelve queues and sixty workers have 300,000."""

Told = tuple[int, float, dict[int, int]]
"""How many durations, their sum, and how many are in each bucket of a sketch."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """Tasks of one minute (its first second), state, name, queue and worker, by their numbers."""

    minute: int
    state: int
    name: int
    queue: int
    worker: int
    count: int
    whole: int
    run: Told
    wait: Told


class Combination(NamedTuple):
    """What entries have in common that can be added."""

    minute: int
    state: int
    name: int
    queue: int
    worker: int

    def label(self, kind: int) -> int:
        """The number of the label that is of this kind."""
        return (UNKNOWN, self.name, self.queue, self.worker)[kind]


_NEWEST = "SELECT number, entries FROM rollup_journal ORDER BY number DESC LIMIT 1"
_PUT = Insert(rollup_journal, ("number", "entries", "tallies"))
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Writes what a commit adds; adds all to the rows if that makes the journal full."""
    number, there = connection.exec_driver_sql(_NEWEST).first() or (0, 0)
    number, there = number + 1, there + len(entries)
    _PUT.run(connection, [(number, there, _encode(entries))])
    if number >= ROWS or there >= ENTRIES:
        fold(connection)


def read(connection: Connection) -> dict[Combination, Sums]:
    """All that is in the journal."""
    found: dict[Combination, Sums] = {}
    query = select(rollup_journal.c.tallies).order_by(rollup_journal.c.number)
    for tallies in connection.scalars(query):
        for entry in _decode(tallies):
            of = Combination(entry.minute, entry.state, entry.name, entry.queue, entry.worker)
            sums = Sums(entry.count, entry.whole, Sketch(*entry.run), Sketch(*entry.wait))
            if (known := found.get(of)) is None:
                found[of] = sums
            else:
                known.merge(sums)
    return found


def fold(connection: Connection) -> None:
    """Adds the journal to the rows of each level, and empties it. Needs a transaction."""
    minutes: dict[tuple[int, int, int, int], Sums] = {}
    found = read(connection)
    if not found:
        return
    for of, sums in found.items():
        for kind in (ALL, *Kind):
            key = (kind, of.minute, of.label(kind), of.state)
            minutes.setdefault(key, Sums()).merge(sums)
    for sums in minutes.values():
        sums.settle()
    for level in LEVELS:
        places: dict[int, Sums] = {}
        for (kind, minute, label, state), sums in minutes.items():
            place = place_of(level, kind, minute - minute % level.step, label, state)
            places.setdefault(place, Sums()).merge(sums)
        rollup_rows.add(connection, _bounded(connection, places))
    connection.execute(delete(rollup_journal))


def remove_before(connection: Connection, before: float, limit: int) -> int:
    """Deletes figures older than a moment, and those that their level keeps no longer: about
    `limit` of each; how many."""
    fold(connection)
    now = time.time()
    return sum(
        rollup_rows.remove_before(connection, level, max(before, now - level.kept), limit)
        for level in LEVELS
    )


def _bounded(connection: Connection, places: dict[int, Sums]) -> dict[int, Sums]:
    """The same, with the labels beyond the limit as one."""
    crowded = {kind for kind in Kind if _is_crowded(connection, kind)}
    if not crowded:
        return places
    found: dict[int, Sums] = {}
    present: dict[int, set[int]] = {}
    for place, sums in sorted(places.items(), key=lambda item: -item[1].count):
        kept, kind = place, rollup_rows.kind_of(place)
        if kind in crowded:
            period, label = rollup_rows.period_of(place), rollup_rows.label_of(place)
            if period not in present:
                present[period] = set(rollup_rows.labels_at(connection, period))
            if len(present[period]) < FOLLOWED[Kind(kind)]:
                present[period].add(label)
            if label not in present[period]:
                kept = rollup_rows.with_label(place, OTHERS)
        found.setdefault(kept, Sums()).merge(sums)
    return found


def _is_crowded(connection: Connection, kind: Kind) -> bool:
    """There are more labels of it than are followed."""
    some = select(labels.c.id).where(labels.c.kind == int(kind)).limit(FOLLOWED[kind] + 1)
    count = connection.scalar(select(func.count()).select_from(some.subquery()))
    return (count or 0) > FOLLOWED[kind]


def entries_of(connection: Connection, kind: int) -> Iterator[tuple[int, int, int, Sums]]:
    """The journal as (minute, label, state, sums) of one kind."""
    for of, sums in read(connection).items():
        yield of.minute, of.label(kind), of.state, sums
