"""Figures by the minute: written with the rows, so that no chart reads the task table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from app.domain.tasks import TaskState
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


def minute_of(moment: float) -> int:
    """The first second of the minute of a moment."""
    return int(moment // MINUTE) * MINUTE


_ADD = (
    "INSERT INTO rollups (minute, name_id, state, count, runtimes, runtime_sum, runtime_max,"
    " waits, wait_sum, wait_max, whole) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (minute, name_id, state) DO UPDATE SET"
    " count = rollups.count + excluded.count,"
    " runtimes = rollups.runtimes + excluded.runtimes,"
    " runtime_sum = rollups.runtime_sum + excluded.runtime_sum,"
    " runtime_max = max(rollups.runtime_max, excluded.runtime_max),"
    " waits = rollups.waits + excluded.waits,"
    " wait_sum = rollups.wait_sum + excluded.wait_sum,"
    " wait_max = max(rollups.wait_max, excluded.wait_max),"
    " whole = rollups.whole + excluded.whole"
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
    if rows:
        connection.exec_driver_sql(_ADD, rows)


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
    sums = [func.sum(rollups.c[name]).label(name) for name in _SUMMED]
    greatest = [func.max(rollups.c[name]).label(name) for name in _GREATEST]
    name = func.max(labels.c.value).label("name")
    return (
        select(*by, name, rollups.c.state, *sums, *greatest)
        .select_from(rollups.outerjoin(labels, labels.c.id == rollups.c.name_id))
        .where(rollups.c.minute >= since, rollups.c.minute < until)
        .group_by(*key)
    )


def _tally(row: RowMapping) -> Tally:
    return Tally(**{name: row[name] for name in (*_SUMMED, *_GREATEST)})
