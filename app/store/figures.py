"""Figures as charts and tables want them: what ended, how much of it failed, how long it took."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain.sketch import Sketch
from app.domain.tasks import TaskState
from app.store import rollup_journal, rollup_rows
from app.store.database import Database
from app.store.labels import Kind
from app.store.rollup_rows import ALL, LEVELS, MINUTES, OTHERS, UNKNOWN, Level, Sums
from app.store.schema import STATES, labels

FAILED = (TaskState.FAILURE, TaskState.LOST, TaskState.REJECTED)
"""Ends that nobody wanted. A revoked task ended as somebody asked."""
OTHER_LABELS = "(others)"
"""Said for labels beyond those that are followed one by one."""


@dataclass(slots=True)
class Ended:
    """What ended in a time: by state, how long it ran and waited in seconds, and of how many the
    story is known from beginning to end."""

    counts: dict[TaskState, int] = field(default_factory=dict)
    whole: int = 0
    run: Sketch = field(default_factory=Sketch)
    wait: Sketch = field(default_factory=Sketch)

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def succeeded(self) -> int:
        return self.counts.get(TaskState.SUCCESS, 0)

    @property
    def failed(self) -> int:
        return sum(self.counts.get(state, 0) for state in FAILED)

    @property
    def failure_rate(self) -> float | None:
        """Of 1; None where nothing ended."""
        return self.failed / count if (count := self.count) > 0 else None

    def merge(self, other: "Ended") -> None:
        """Adds all of another one."""
        for state, count in other.counts.items():
            self.counts[state] = self.counts.get(state, 0) + count
        self.whole += other.whole
        self.run.merge(other.run)
        self.wait.merge(other.wait)

    def take(self, state: int, sums: Sums) -> None:
        """Adds tasks that ended in a state, given by its code."""
        known = STATES[state]
        self.counts[known] = self.counts.get(known, 0) + sums.count
        self.whole += sums.whole
        self.run.merge(sums.run)
        self.wait.merge(sums.wait)


class Span(NamedTuple):
    """A time that rows of one level cover, in seconds since the epoch."""

    level: Level
    since: int
    until: int


def level_of(step: int) -> Level:
    """The rows that a chart of such steps is made of: the longest that fit. Steps are whole
    minutes."""
    return next(level for level in reversed(LEVELS) if step % level.step == 0)


def series(
    db: Database,
    since: float,
    until: float,
    step: int = MINUTES.step,
    of: tuple[Kind, str] | None = None,
) -> dict[int, Ended]:
    """What ended, by the first second of each step, in order of time; steps without any are left
    out. `since` is taken back to the beginning of its step, `until` on to the end of its. `of`
    one name, queue or worker alone.
    """
    span = Span(level_of(step), *_aligned(since, until, step))
    found: dict[int, Ended] = {}
    with db.reading() as connection:
        kind, label = (ALL, None) if of is None else (int(of[0]), _number(connection, *of))
        if of is not None and label is None:
            return {}
        for row in _rows(connection, [span], kind, label):
            found.setdefault(row.moment - row.moment % step, Ended()).take(row.state, row.sums)
    return dict(sorted((moment, ended) for moment, ended in found.items() if ended.count > 0))


def total(db: Database, since: float, until: float, step: int = MINUTES.step) -> Ended:
    """All that ended in the same time as that of `series`."""
    found = Ended()
    with db.reading() as connection:
        for row in _rows(connection, _cover(*_aligned(since, until, step), step), ALL):
            found.take(row.state, row.sums)
    return found


def counts(
    db: Database, since: float, until: float, step: int, of: tuple[Kind, str | None] | None = None
) -> dict[TaskState, int]:
    """How many ended in each state in the same time; `of` one name, queue or worker alone, where
    None is what has none that is known."""
    found: dict[TaskState, int] = {}
    with db.reading() as connection:
        kind, label = (ALL, None) if of is None else (int(of[0]), _number(connection, *of))
        if of is not None and label is None:
            return {}
        for row in _rows(connection, _cover(*_aligned(since, until, step), step), kind, label):
            state = STATES[row.state]
            found[state] = found.get(state, 0) + row.sums.count
    return {state: count for state, count in found.items() if count > 0}


def by_label(
    db: Database, kind: Kind, since: float, until: float, step: int = MINUTES.step
) -> dict[str | None, Ended]:
    """The same by name, queue or worker; None is what has none that is known."""
    numbered: dict[int, Ended] = {}
    with db.reading() as connection:
        for row in _rows(connection, _cover(*_aligned(since, until, step), step), int(kind)):
            numbered.setdefault(row.label, Ended()).take(row.state, row.sums)
        called = _called(connection, set(numbered))
    found: dict[str | None, Ended] = {}
    for number, ended in numbered.items():
        if ended.count > 0:
            # Of labels that nothing else mentions any more the text is gone.
            found.setdefault(called.get(number), Ended()).merge(ended)
    return found


def known_since(db: Database) -> float | None:
    """The first second that figures tell of; None where there are none. Before it nothing is known,
    which is not the same as that nothing ended."""
    with db.reading() as connection:
        minutes = [minute for minute, *_ in rollup_journal.entries_of(connection, ALL)]
        first = rollup_rows.first_of(connection, LEVELS[-1], 0, rollup_rows.LAST_MINUTE * 60)
        for level in reversed(LEVELS[:-1]):
            if first is None:
                break
            # Finer rows of that time say it more exactly, as long as they are kept.
            end = first + LEVELS[level.code + 1].step
            finer = rollup_rows.first_of(connection, level, first, end)
            if finer is None:
                break
            first = finer
    return min([*minutes, *([] if first is None else [first])], default=None)


def _aligned(since: float, until: float, step: int) -> tuple[int, int]:
    last = rollup_rows.LAST_MINUTE * 60
    first, end = max(0.0, min(since, last)), max(0.0, min(until, last + step))
    return int(first // step) * step, ceil(end / step) * step


def _cover(since: int, until: int, step: int) -> list[Span]:
    """A time by the fewest rows: in the middle days, at its edges what a step has rows for."""
    finest = level_of(step)
    levels = [level for level in LEVELS if level.step >= finest.step]
    spans: list[Span] = []
    at = since
    while at < until:
        fitting = [one for one in levels if at % one.step == 0 and at + one.step <= until]
        level = fitting[-1]
        end = until - until % level.step
        if level is not LEVELS[-1]:  # no further than to where longer rows can take over
            longer = LEVELS[level.code + 1].step
            end = min(end, at - at % longer + longer)
        if spans and spans[-1].level is level:
            spans[-1] = spans[-1]._replace(until=end)
        else:
            spans.append(Span(level, at, end))
        at = end
    return spans


def _rows(
    connection: Connection, spans: list[Span], kind: int, label: int | None = None
) -> Iterator[rollup_rows.Row]:
    for span in spans:
        yield from rollup_rows.read(connection, span.level, kind, span.since, span.until, label)
    since, until = spans[0].since if spans else 0, spans[-1].until if spans else 0
    for minute, number, state, sums in rollup_journal.entries_of(connection, kind):
        if since <= minute < until and label in (None, number):
            yield rollup_rows.Row(minute, number, state, sums)


def _number(connection: Connection, kind: Kind, label: str | None) -> int | None:
    if label is None:
        return UNKNOWN
    if label == OTHER_LABELS:
        return OTHERS
    wanted = (labels.c.kind == int(kind), labels.c.value == label)
    found: int | None = connection.scalar(select(labels.c.id).where(*wanted))
    return found


def _called(connection: Connection, numbers: set[int]) -> dict[int, str | None]:
    query = select(labels.c.id, labels.c.value).where(labels.c.id.in_(numbers))
    found = {row.id: row.value for row in connection.execute(query)}
    return {UNKNOWN: None, OTHERS: OTHER_LABELS} | found
