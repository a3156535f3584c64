"""Figures by the minute: written with the rows, so that no chart reads the task table."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, cast, func, select

from app.domain.tasks import TaskState
from app.store.bulk import Insert
from app.store.database import Database
from app.store.labels import Kind, Numbers
from app.store.schema import STATE_CODES, STATES, labels, rollups, state_counts

MINUTE = 60
"""Seconds of a rollup row."""
_LAST_MINUTE = 32_503_680_000


class TallyKey(NamedTuple):
    """What is counted together. `minute` is its first second since the epoch: see `minute_of`."""

    minute: int
    name: str | None
    state: TaskState


@dataclass(slots=True)
class Tally:
    """Tasks of one name that came to one state in one minute; times in seconds.

    `whole`: of how many of them the story is known from beginning to end.
    """

    count: int = 0
    runtimes: int = 0
    runtime_sum: float = 0.0
    runtime_max: float = 0.0
    waits: int = 0
    wait_sum: float = 0.0
    wait_max: float = 0.0
    whole: int = 0

    def add(
        self, *, runtime: float | None = None, wait: float | None = None, whole: bool = False
    ) -> None:
        """One more task, with what is known of it."""
        self.count += 1
        self.whole += whole
        if runtime is not None:
            self.runtimes += 1
            self.runtime_sum += runtime
            self.runtime_max = max(self.runtime_max, runtime)
        if wait is not None:
            self.waits += 1
            self.wait_sum += wait
            self.wait_max = max(self.wait_max, wait)


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


_COLUMNS = tuple(column.name for column in rollups.columns)
_KEY = ("minute", "name_id", "state")
_ADD = Insert(
    rollups,
    _COLUMNS,
    "ON CONFLICT (minute, name_id, state) DO UPDATE SET "
    + ", ".join(
        f"{name} = {{greatest}}(rollups.{name}, excluded.{name})"
        if name.endswith("_max")
        else f"{name} = rollups.{name} + excluded.{name}"
        for name in _COLUMNS
        if name not in _KEY
    ),
    key=_KEY,
)


def add(connection: Connection, tallies: Mapping[TallyKey, Tally], numbers: Numbers) -> None:
    """Adds a tick's tallies to their minutes."""
    rows = [
        (
            max(0, min(key.minute, _LAST_MINUTE)),
            numbers[Kind.NAME][key.name] or 0,
            STATE_CODES[key.state],
            tally.count,
            tally.runtimes,
            tally.runtime_sum,
            tally.runtime_max,
            tally.waits,
            tally.wait_sum,
            tally.wait_max,
            tally.whole,
        )
        for key, tally in tallies.items()
    ]
    _ADD.run(connection, rows)


def counts(db: Database) -> dict[TaskState, int]:
    """How many tasks are in each state, exactly."""
    query = select(state_counts.c.state, state_counts.c.count)
    with db.reading() as connection:
        found = {STATES[code]: count for code, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in TaskState}


def series(
    db: Database, since: float, until: float, step: int = MINUTE
) -> list[tuple[TallyKey, Tally]]:
    """What ended from `since` on and before `until`, by `step` seconds (whole minutes), name and
    state, in order of time. `minute` is then the first second of its step."""
    minute = (rollups.c.minute - rollups.c.minute % step).label("minute")
    with db.reading() as connection:
        rows = connection.execute(_sums(since, until, minute).order_by(minute)).mappings()
        return [
            (TallyKey(row["minute"], row["name"], STATES[row["state"]]), _tally(row))
            for row in rows
        ]


def by_name(db: Database, since: float, until: float) -> dict[str | None, dict[TaskState, Tally]]:
    """What ended in that time by name and state: the slowest, the most often failing."""
    found: dict[str | None, dict[TaskState, Tally]] = {}
    with db.reading() as connection:
        for row in connection.execute(_sums(since, until)).mappings():
            found.setdefault(row["name"], {})[STATES[row["state"]]] = _tally(row)
    return found


_SUMMED = ("count", "runtimes", "runtime_sum", "waits", "wait_sum", "whole")
_GREATEST = ("runtime_max", "wait_max")


def _sums(since: float, until: float, *by: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    key = (*by, rollups.c.name_id, rollups.c.state)
    # A server sums whole numbers without a limit, as decimals.
    sums = [cast(func.sum(rollups.c[name]), rollups.c[name].type).label(name) for name in _SUMMED]
    greatest = [func.max(rollups.c[name]).label(name) for name in _GREATEST]
    name = func.max(labels.c.value).label("name")
    return (
        select(*by, name, rollups.c.state, *sums, *greatest)
        .select_from(rollups.outerjoin(labels, labels.c.id == rollups.c.name_id))
        .where(*within_minutes(rollups.c.minute, since, until))
        .group_by(*key)
    )


def _tally(row: RowMapping) -> Tally:
    return Tally(**{name: row[name] for name in (*_SUMMED, *_GREATEST)})
