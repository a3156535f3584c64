"""The recorder's one way to write: a batch, in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, exc, select

from app.domain.queues import Queue
from app.domain.tasks import Task
from app.domain.workers import Worker
from app.store import announcements, blind_windows, labels, queues, rollups, workers
from app.store.announcements import Announcement
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.labels import LABEL_LENGTH, Kind, Label
from app.store.rollups import Tally, TallyKey
from app.store.rows import (
    COLUMNS,
    FIELDS,
    HEAD,
    ID_LENGTH,
    INLINE,
    REPR_LIMIT,
    TEXT_LIMIT,
    VALUE_LIMIT,
    clean,
    seconds,
    small,
    state_code,
    steps_text,
    within,
)
from app.store.schema import tasks

__all__ = ["Announcement", "Batch", "BlindWindow", "Tally", "TallyKey", "commit"]


@dataclass(slots=True)
class Batch:
    """What one tick has changed. Each task, worker and queue stands in it once."""

    tasks: list[Task] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)
    blind_windows: list[BlindWindow] = field(default_factory=list)
    announcement: Announcement | None = None


def commit(db: Database, batch: Batch) -> None:
    """Writes a batch as one transaction: all of it stands, or nothing.

    A task whose id is known keeps the place (`seq`) that it has. A new one whose place is
    taken moves to the next free one, and its `seq` is set to that. Raises StoreUnavailable.
    """
    try:
        _commit(db, batch)
    except exc.IntegrityError:
        with db.writing() as connection:
            _make_room(connection, batch.tasks)
        _commit(db, batch)


def _commit(db: Database, batch: Batch) -> None:
    with db.writing() as connection:
        numbers = labels.number(connection, _labels(batch))
        _put_tasks(connection, batch.tasks, numbers)
        rollups.add(connection, batch.tallies, numbers)
        workers.put(connection, batch.workers)
        queues.put(connection, batch.queues)
        blind_windows.put(connection, batch.blind_windows)
        if batch.announcement is not None:
            announcements.put(connection, batch.announcement)


def _label(kind: Kind, text: str | None) -> Label | None:
    return (kind, clean(text, LABEL_LENGTH) or "") if text else None


def _labels(batch: Batch) -> set[Label]:
    found: set[Label | None] = set()
    for task in batch.tasks:
        found.add(_label(Kind.NAME, task.name))
        found.add(_label(Kind.QUEUE, task.queue))
        found.add(_label(Kind.WORKER, task.worker))
    found |= {_label(Kind.NAME, key.name) for key in batch.tallies}
    return {label for label in found if label is not None}


_PUT = (
    f"INSERT INTO tasks ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in ("seq", "id"))
)
_PUT_VALUE = (
    "INSERT INTO task_values (seq, field, value)"
    " SELECT seq, ?, ? FROM tasks WHERE id = ?"
    " ON CONFLICT (seq, field) DO UPDATE SET value = excluded.value"
)


def _put_tasks(connection: Connection, batch: Sequence[Task], numbers: dict[Label, int]) -> None:
    if not batch:
        return
    outside: list[tuple[int, str, str]] = []
    rows = [_row(task, numbers, outside) for task in batch]
    connection.exec_driver_sql(_PUT, rows)
    if outside:
        connection.exec_driver_sql(_PUT_VALUE, outside)


def _row(
    task: Task, numbers: dict[Label, int], outside: list[tuple[int, str, str]]
) -> tuple[Any, ...]:
    task_id = clean(task.id, ID_LENGTH) or ""
    root_id = clean(task.root_id, ID_LENGTH)
    values: list[str | None] = []
    reprs: list[str | None] = []
    bits = 0
    for place, name in enumerate(FIELDS):
        value = clean(getattr(task, name), VALUE_LIMIT + 1)
        shown = clean(getattr(task, name + "_repr"), REPR_LIMIT)
        if value is not None and len(value) > INLINE:
            if len(value) > VALUE_LIMIT:
                value, shown = None, shown or value[:HEAD] + "…"
            else:
                outside.append((place, value, task_id))
                bits |= 1 << place
                value = value[:HEAD]
        values.append(value)
        reprs.append(shown)
    return (
        within(task.seq),
        task_id,
        state_code(task.state),
        numbers.get(_label(Kind.NAME, task.name)),  # type: ignore[arg-type]
        numbers.get(_label(Kind.QUEUE, task.queue)),  # type: ignore[arg-type]
        numbers.get(_label(Kind.WORKER, task.worker)),  # type: ignore[arg-type]
        clean(task.custom_state, REPR_LIMIT),
        small(task.priority),
        small(task.retries),
        seconds(task.eta),
        seconds(task.expires),
        seconds(task.sent_at),
        seconds(task.received_at),
        seconds(task.started_at),
        seconds(task.finished_at),
        seconds(task.runtime),
        seconds(task.progress_current),
        seconds(task.progress_total),
        clean(task.progress_message, REPR_LIMIT),
        "" if root_id == task_id else root_id or None,
        clean(task.parent_id, ID_LENGTH),
        clean(task.group_id, ID_LENGTH),
        clean(task.retry_of, ID_LENGTH),
        bits,
        *values,
        *reprs,
        clean(task.exception, TEXT_LIMIT),
        clean(task.traceback, TEXT_LIMIT),
        steps_text(task.transitions),
    )


def _make_room(connection: Connection, batch: Iterable[Task]) -> None:
    """Gives new tasks whose place is taken, in the store or in the batch, the next free one."""
    taken: dict[int, str] = {}
    for task in batch:
        known = connection.scalar(select(tasks.c.seq).where(tasks.c.id == task.id))
        if known is not None:
            task.seq = known
            continue
        task.seq = within(task.seq)
        while (
            taken.setdefault(task.seq, task.id) != task.id
            or connection.scalar(select(tasks.c.id).where(tasks.c.seq == task.seq)) is not None
        ):
            task.seq += 1
