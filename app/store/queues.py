"""Queues as they were last measured, and how deep each was minute by minute."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, func, select

from app.domain.queues import Queue
from app.store.bulk import Insert
from app.store.database import Database
from app.store.rollups import minute_of, within_minutes
from app.store.rows import ID_LENGTH, clean
from app.store.schema import queue_minutes, queues

_PUT = Insert(
    queues,
    ("name", "measured_at", "document"),
    "ON CONFLICT (name) DO UPDATE SET measured_at = excluded.measured_at,"
    " document = excluded.document",
    key=("name",),
)
_PUT_MINUTE = Insert(
    queue_minutes,
    ("minute", "queue", "waiting", "oldest"),
    "ON CONFLICT (minute, queue) DO UPDATE SET"
    " waiting = {greatest}(queue_minutes.waiting, excluded.waiting),"
    # SQLite's greatest of something and NULL is NULL.
    " oldest = {greatest}(coalesce(queue_minutes.oldest, excluded.oldest),"
    " coalesce(excluded.oldest, queue_minutes.oldest))",
    key=("minute", "queue"),
)


class Depth(NamedTuple):
    """Messages that waited at most, and the seconds that the oldest had waited at most; None: none
    waited, or since when was not known."""

    waiting: int
    oldest: float | None


class _Document(msgspec.Struct):
    depths: tuple[tuple[int, int], ...]
    unacked: int | None
    oldest_id: str | None
    oldest_sent_at: float | None
    consumers: tuple[str, ...]
    orphans: int | None = None
    redelivery_at: float | None = None


def put(connection: Connection, batch: list[Queue]) -> None:
    """Writes queues as they are now, and their depth and age into the minute's greatest."""
    rows = []
    minutes = []
    for queue in batch:
        name = clean(queue.name, ID_LENGTH)
        document = _Document(
            queue.depths,
            queue.unacked,
            clean(queue.oldest_id, ID_LENGTH),
            queue.oldest_sent_at,
            tuple(clean(consumer, ID_LENGTH) or "" for consumer in queue.consumers),
            queue.orphans,
            queue.redelivery_at,
        )
        rows.append((name, queue.measured_at, msgspec.json.encode(document).decode()))
        minute = minute_of(queue.measured_at)
        minutes.append((minute, name, queue.waiting, queue.oldest_age))
    _PUT.run(connection, rows)
    _PUT_MINUTE.run(connection, minutes)


def list_all(db: Database) -> list[Queue]:
    """Every queue that is known, by name."""
    with db.reading() as connection:
        return [_queue(row) for row in connection.execute(select(queues).order_by(queues.c.name))]


def get(db: Database, name: str) -> Queue | None:
    """One queue; None if it was never heard of."""
    with db.reading() as connection:
        row = connection.execute(select(queues).where(queues.c.name == name)).first()
    return _queue(row) if row else None


def _queue(row: Row[Any]) -> Queue:
    document = msgspec.json.decode(row.document, type=_Document)
    return Queue(
        name=row.name,
        measured_at=row.measured_at,
        depths=document.depths,
        unacked=document.unacked,
        oldest_id=document.oldest_id,
        oldest_sent_at=document.oldest_sent_at,
        consumers=document.consumers,
        orphans=document.orphans,
        redelivery_at=document.redelivery_at,
    )


def depths(db: Database, name: str, since: float, until: float) -> list[tuple[int, int]]:
    """The queue's greatest depth in each minute that it was measured in: (minute, messages)."""
    minute = queue_minutes.c.minute
    query = (
        select(minute, queue_minutes.c.waiting)
        .where(queue_minutes.c.queue == name, *within_minutes(minute, since, until))
        .order_by(minute)
    )
    with db.reading() as connection:
        return [(row.minute, row.waiting) for row in connection.execute(query)]


def recent_depths(
    db: Database, names: Sequence[str], since: float, until: float
) -> dict[str, list[tuple[int, int]]]:
    """The same of several queues at once, by name; for a short time of few of them."""
    columns = queue_minutes.c
    within = within_minutes(columns.minute, since, until)
    query = (
        select(columns.queue, columns.minute, columns.waiting)
        .where(columns.queue.in_(names), *within)
        .order_by(columns.minute)
    )
    found: dict[str, list[tuple[int, int]]] = {}
    with db.reading() as connection:
        for row in connection.execute(query):
            found.setdefault(row.queue, []).append((row.minute, row.waiting))
    return found


def depths_by_step(
    db: Database, name: str, since: float, until: float, step: int
) -> dict[int, Depth]:
    """How deep and how old the queue was in each step of so many seconds, by its first second."""
    minute = queue_minutes.c.minute
    first = (minute - minute % step).label("first")
    query = (
        select(
            first,
            func.max(queue_minutes.c.waiting).label("waiting"),
            func.max(queue_minutes.c.oldest).label("oldest"),
        )
        .where(queue_minutes.c.queue == name, *within_minutes(minute, since, until))
        .group_by(first)
    )
    with db.reading() as connection:
        return {int(row.first): Depth(row.waiting, row.oldest) for row in connection.execute(query)}
