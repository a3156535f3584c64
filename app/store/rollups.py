"""Figures of what has ended: written with the rows, so that no chart reads the task table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from app.domain.sketch import Sketch
from app.domain.tasks import TaskState
from app.store import rollup_journal
from app.store.database import Database
from app.store.labels import Kind, Numbers
from app.store.rollup_journal import Entry, Told
from app.store.rollup_rows import LAST_MINUTE, OTHERS, UNKNOWN
from app.store.schema import STATE_CODES, STATES, state_counts

MINUTE = 60
"""Seconds of the shortest time that figures are told of."""
_LAST_MINUTE = LAST_MINUTE * MINUTE


class TallyKey(NamedTuple):
    """What is counted together. `minute` is its first second since the epoch: see `minute_of`."""

    minute: int
    name: str | None
    state: TaskState
    queue: str | None = None
    worker: str | None = None


@dataclass(slots=True)
class Tally:
    """Tasks that came to one state in one minute, and such that were believed to have.

    `whole`: of how many of them the story is known from beginning to end. How long they ran and
    waited is in seconds, in any order.
    """

    count: int = 0
    whole: int = 0
    runtimes: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    not_runtimes: list[float] = field(default_factory=list)
    not_waits: list[float] = field(default_factory=list)

    def add(
        self, runtime: float | None = None, wait: float | None = None, whole: bool = False
    ) -> None:
        """One more task, with what is known of it."""
        self.count += 1
        self.whole += whole
        if runtime is not None:
            self.runtimes.append(runtime)
        if wait is not None:
            self.waits.append(wait)

    def take_back(
        self, runtime: float | None = None, wait: float | None = None, whole: bool = False
    ) -> None:
        """One task less, which was added with the same."""
        self.count -= 1
        self.whole -= whole
        if runtime is not None:
            self.not_runtimes.append(runtime)
        if wait is not None:
            self.not_waits.append(wait)


def within_minutes(
    minute: ColumnElement[int], since: float, until: float
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Minutes from `since` on and before `until`. As whole numbers: a server that compares them
    with fractions looks at each minute that there is."""
    first, end = (ceil(max(0, min(moment, _LAST_MINUTE + 1))) for moment in (since, until))
    return minute >= first, minute < end


def minute_of(moment: float) -> int:
    """The first second of the minute of a moment."""
    return int(moment // MINUTE) * MINUTE


def add(connection: Connection, tallies: Mapping[TallyKey, Tally], numbers: Numbers) -> None:
    """Adds a tick's tallies to the figures."""
    if tallies:
        rollup_journal.write(
            connection, [_entry(key, tally, numbers) for key, tally in tallies.items()]
        )


def counts(db: Database) -> dict[TaskState, int]:
    """How many tasks are in each state, exactly."""
    query = select(state_counts.c.state, state_counts.c.count)
    with db.reading() as connection:
        found = {STATES[code]: count for code, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in TaskState}


def _entry(key: TallyKey, tally: Tally, numbers: Numbers) -> Entry:
    return Entry(
        max(0, min(key.minute, _LAST_MINUTE)),
        STATE_CODES[key.state],
        _number(numbers, Kind.NAME, key.name),
        _number(numbers, Kind.QUEUE, key.queue),
        _number(numbers, Kind.WORKER, key.worker),
        tally.count,
        tally.whole,
        _told(tally.runtimes, tally.not_runtimes),
        _told(tally.waits, tally.not_waits),
    )


def _number(numbers: Numbers, kind: Kind, label: str | None) -> int:
    return min(numbers[kind][label] or UNKNOWN, OTHERS)


def _told(seconds: list[float], taken_back: list[float]) -> Told:
    sketch = Sketch()
    sketch.add(seconds)
    if taken_back:
        sketch.add(taken_back, -1)
    return sketch.count, sketch.total, sketch.recent
