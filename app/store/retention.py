"""What is old is deleted, a little at a time, so that nobody waits for it."""

from random import randrange

from sqlalchemy import Column, Connection, Table, delete, exists, func, select

from app.store import rollup_journal, sqlite, task_rows
from app.store.bulk import is_postgres
from app.store.database import Database
from app.store.schema import (
    audit,
    blind_windows,
    catalogs,
    labels,
    markers,
    queue_minutes,
    queues,
    tasks,
    workers,
)
from app.store.ways import place_of

_DATED: tuple[tuple[Table, Column[float]], ...] = (
    (queue_minutes, queue_minutes.c.minute),
    (blind_windows, blind_windows.c.began_at),
    (audit, audit.c.at),
    (markers, markers.c.at),
    (workers, workers.c.heard_at),
    (queues, queues.c.measured_at),
)


def prune(db: Database, before: float, limit: int = 500) -> int:
    """Deletes what is older than a moment: at most `limit` tasks, and when no such task is left,
    about as many rows of each other table. Returns how many; 0 says that all is done.

    A task's age is that of its first moment, whatever its state. Space is used again, and given
    back to the file system little by little once half of the file is free.
    """
    with db.writing() as connection:
        count = task_rows.remove_before(connection, place_of(before), limit)
        if not count:
            count = sum(_remove_dated(connection, *dated, before, limit) for dated in _DATED)
            count += rollup_journal.remove_before(connection, before, limit)
            _remove_unused(connection, limit)
        if not is_postgres(connection):
            sqlite.give_back(connection)
    return count


def _remove_dated(
    connection: Connection, table: Table, moment: Column[float], before: float, limit: int
) -> int:
    beyond = select(moment).where(moment < before).order_by(moment).offset(limit).limit(1)
    cut = connection.scalar(beyond)
    # Rows of one moment go together, so that the rest of a minute is not counted as all of it.
    old = moment < before if cut is None else moment <= cut
    return connection.execute(delete(table).where(old)).rowcount


def _remove_unused(connection: Connection, limit: int) -> None:
    """Labels and catalogs that nothing mentions any more, from a random place on."""
    last = connection.scalar(select(func.max(labels.c.id))) or 0
    some = (
        select(labels.c.id)
        .where(labels.c.id >= randrange(last + 1))  # noqa: S311
        .order_by(labels.c.id)
        .limit(limit)
    )
    used = (tasks.c.name_id, tasks.c.queue_id, tasks.c.worker_id)
    unused = [~exists().where(column == labels.c.id) for column in used]
    connection.execute(delete(labels).where(labels.c.id.in_(some), *unused))
    registered = exists().where(workers.c.catalog == catalogs.c.digest)
    connection.execute(delete(catalogs).where(~registered))
