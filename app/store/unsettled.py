"""Tasks whose story may not be at its end: read page by page, with what a verdict needs of them.

Light rows: values that can be long stay where they are.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, select, union_all

from app.domain.tasks import Task, TaskState
from app.store.bulk import LOOKED_UP, look_up
from app.store.database import Database
from app.store.rows import FIELDS, steps_of
from app.store.schema import STATE_CODES, STATES, labels, tasks
from app.store.ways import place_of

_queues = labels.alias("queue_names")
_workers = labels.alias("worker_names")
_LIGHT: Select[Any] = select(
    tasks.c.id,
    tasks.c.seq,
    tasks.c.state,
    tasks.c.retries,
    tasks.c.received_at,
    tasks.c.started_at,
    tasks.c.finished_at,
    tasks.c.redelivery_at,
    tasks.c.transitions,
    _queues.c.value.label("queue"),
    _workers.c.value.label("worker"),
).select_from(
    tasks.outerjoin(_queues, _queues.c.id == tasks.c.queue_id).outerjoin(
        _workers, _workers.c.id == tasks.c.worker_id
    )
)
_KNOWN = "SELECT id FROM tasks WHERE id IN ({})"
_HAS_RESULT = 1 << FIELDS.index("result")


def in_states(
    db: Database, states: Collection[TaskState], limit: int, after: int = -1
) -> list[Task]:
    """Tasks in these states, from the oldest on; `after` is the seq of the last one seen."""
    parts = [
        select(
            select(tasks.c.seq)
            .where(tasks.c.state == STATE_CODES[state], tasks.c.seq > after)
            .order_by(tasks.c.seq)
            .limit(limit)
            .subquery()
        )
        for state in states
    ]
    places = union_all(*parts).subquery()
    wanted = select(places.c.seq).order_by(places.c.seq).limit(limit)
    return _read(db, _LIGHT.where(tasks.c.seq.in_(wanted)).order_by(tasks.c.seq))


def lost_since(db: Database, since: float, limit: int, before: int | None = None) -> list[Task]:
    """Tasks first seen since then that were given up, the latest first; `before` is the seq of
    the last one seen."""
    query = _LIGHT.where(
        tasks.c.state == STATE_CODES[TaskState.LOST], tasks.c.seq >= place_of(since)
    )
    if before is not None:
        query = query.where(tasks.c.seq < before)
    return _read(db, query.order_by(tasks.c.seq.desc()).limit(limit))


def some(db: Database, ids: Sequence[str]) -> list[Task]:
    """Those of these tasks that are known."""
    found: list[Task] = []
    for at in range(0, len(ids), LOOKED_UP):
        found += _read(db, _LIGHT.where(tasks.c.id.in_(ids[at : at + LOOKED_UP])))
    return found


def known(db: Database, ids: Sequence[str]) -> set[str]:
    """Which of these tasks were heard of."""
    with db.reading() as connection:
        return {row[0] for row in look_up(connection, _KNOWN, ids)}


def without_value(
    db: Database, began: float, ended: float, limit: int, before: int | None = None
) -> tuple[list[str], int | None]:
    """Of the next `limit` tasks that succeeded, the latest first: those that ended between two
    moments and whose result isn't known. Also the seq of the last one looked at, None at the end.
    """
    looked = select(tasks.c.seq).where(tasks.c.state == STATE_CODES[TaskState.SUCCESS])
    if before is not None:
        looked = looked.where(tasks.c.seq < before)
    latest = looked.order_by(tasks.c.seq.desc()).limit(limit).subquery()
    query = select(
        tasks.c.id, tasks.c.seq, tasks.c.finished_at, tasks.c.outside, tasks.c.result.is_(None)
    ).where(tasks.c.seq.in_(select(latest.c.seq)))
    with db.reading() as connection:
        rows = connection.execute(query).all()
    ids = [
        row.id
        for row in rows
        if row[4] and not row.outside & _HAS_RESULT and began <= (row.finished_at or 0.0) <= ended
    ]
    return ids, min(row.seq for row in rows) if len(rows) == limit else None


def _read(db: Database, query: Select[Any]) -> list[Task]:
    with db.reading() as connection:
        return [_task(row) for row in connection.execute(query).mappings()]


def _task(row: RowMapping) -> Task:
    return Task(
        id=row["id"],
        seq=row["seq"],
        state=STATES[row["state"]],
        retries=row["retries"],
        queue=row["queue"],
        worker=row["worker"],
        received_at=row["received_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        redelivery_at=row["redelivery_at"],
        transitions=steps_of(row["transitions"]),
    )
