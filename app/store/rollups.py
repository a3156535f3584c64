"""Figures by the minute: written with the rows, so that no chart reads the task table."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.domain.tasks import TaskState
from app.store.database import Database
from app.store.labels import Kind, Numbers
from app.store.schema import STATE_CODES, STATES, tasks

MINUTE = 60
"""Seconds of a rollup row."""


@dataclass(frozen=True, slots=True)
class TallyKey:
    """What is counted together. `minute` is its first second since the epoch: see `minute_of`."""

    minute: int
    name: str | None
    state: TaskState


@dataclass(slots=True)
class Tally:
    """Tasks of one name that came to one state in one minute; times in seconds."""

    count: int = 0
    runtimes: int = 0
    runtime_sum: float = 0.0
    runtime_max: float = 0.0
    waits: int = 0
    wait_sum: float = 0.0
    wait_max: float = 0.0

    def add(self, *, runtime: float | None = None, wait: float | None = None) -> None:
        """One more task, with what is known of it."""
        self.count += 1
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


def counts(db: Database) -> dict[TaskState, int]:
    """About how many tasks are in each state."""
    query = select(tasks.c.state, func.count()).group_by(tasks.c.state)
    with db.reading() as connection:
        return {STATES[code]: n for code, n in connection.execute(query)}


_ADD = (
    "INSERT INTO rollups (minute, name_id, state, count, runtimes, runtime_sum, runtime_max,"
    " waits, wait_sum, wait_max) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (minute, name_id, state) DO UPDATE SET"
    " count = rollups.count + excluded.count,"
    " runtimes = rollups.runtimes + excluded.runtimes,"
    " runtime_sum = rollups.runtime_sum + excluded.runtime_sum,"
    " runtime_max = max(rollups.runtime_max, excluded.runtime_max),"
    " waits = rollups.waits + excluded.waits,"
    " wait_sum = rollups.wait_sum + excluded.wait_sum,"
    " wait_max = max(rollups.wait_max, excluded.wait_max)"
)


def add(connection: Connection, tallies: Mapping[TallyKey, Tally], numbers: Numbers) -> None:
    """Adds a tick's tallies to their minutes."""
    rows = [
        (
            key.minute,
            numbers[Kind.NAME][key.name] or 0,
            STATE_CODES[key.state],
            tally.count,
            tally.runtimes,
            tally.runtime_sum,
            tally.runtime_max,
            tally.waits,
            tally.wait_sum,
            tally.wait_max,
        )
        for key, tally in tallies.items()
    ]
    if rows:
        connection.exec_driver_sql(_ADD, rows)
