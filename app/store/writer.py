"""The recorder's one way to write: a batch, in one transaction."""

import uuid
from dataclasses import dataclass, field

from app.domain.queues import Queue
from app.domain.tasks import Task
from app.domain.workers import Worker
from app.store import (
    announcements,
    blind_windows,
    labels,
    positions,
    queues,
    rollups,
    task_rows,
    workers,
)
from app.store.announcements import Announcement
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.labels import Kind
from app.store.rollups import Tally, TallyKey

__all__ = ["Announcement", "Batch", "BlindWindow", "Tally", "TallyKey", "commit"]


LAST_COMMIT = "commit"
"""The row of `positions` that names the batch committed last: a server that goes away between a
commit and its answer leaves nothing else to tell by. Only one recorder writes batches, and each
try waits until the last one has ended."""


@dataclass(slots=True)
class Batch:
    """What one tick has changed. Each task, worker and queue stands in it once.

    `new`: ids of tasks that the store is known not to have, so that it need not look for them.
    `positions`: how far each durable stream is read with it.
    """

    tasks: list[Task] = field(default_factory=list)
    new: set[str] = field(default_factory=set)
    workers: list[Worker] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)
    blind_windows: list[BlindWindow] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)
    announcement: Announcement | None = None
    mark: str | None = None
    """What the first try to commit it called it: how that ended can be unknown."""


def commit(db: Database, batch: Batch) -> None:
    """Writes a batch as one transaction: all of it stands, or nothing.

    A task whose id is known keeps the place (`seq`) that it has. A new one whose place is
    taken moves to the next free one. Either way the task's `seq` is set to what it got.
    Raises StoreUnavailable; then call it again with the same batch. Nothing of it is written, or
    all of it and only the answer was lost, which the next call finds out and writes nothing.
    """
    with db.writing() as connection:
        if batch.mark is not None and positions.read(connection, LAST_COMMIT) == batch.mark:
            return
        batch.mark = batch.mark or uuid.uuid4().hex
        numbers = labels.number(connection, _labels(batch))
        if batch.tasks:
            task_rows.put(connection, batch.tasks, numbers, batch.new)
        rollups.add(connection, batch.tallies, numbers)
        workers.put(connection, batch.workers)
        queues.put(connection, batch.queues)
        blind_windows.put(connection, batch.blind_windows)
        positions.put(connection, {**batch.positions, LAST_COMMIT: batch.mark})
        if batch.announcement is not None:
            announcements.put(connection, batch.announcement)


def _labels(batch: Batch) -> dict[Kind, set[str]]:
    tasks, tallies = batch.tasks, batch.tallies
    found = {
        Kind.NAME: {task.name for task in tasks} | {key.name for key in tallies},
        Kind.QUEUE: {task.queue for task in tasks} | {key.queue for key in tallies},
        Kind.WORKER: {task.worker for task in tasks} | {key.worker for key in tallies},
    }
    return {kind: {text for text in texts if text} for kind, texts in found.items()}
