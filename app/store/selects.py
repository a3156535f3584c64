"""The two ways to read task rows: summaries for lists, whole ones for a task's own page."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, select

from app.domain.tasks import Task
from app.store.rows import to_task
from app.store.schema import labels, task_values, tasks

_LONG = ("traceback", "transitions")
_names = labels.alias("names")
_queues = labels.alias("queue_names")
_workers = labels.alias("worker_names")
JOINED = (
    tasks.outerjoin(_names, _names.c.id == tasks.c.name_id)
    .outerjoin(_queues, _queues.c.id == tasks.c.queue_id)
    .outerjoin(_workers, _workers.c.id == tasks.c.worker_id)
)
NAME = _names.c.value.label("name")
"""The name of a task, in what is selected from JOINED."""
_texts = (
    NAME,
    _queues.c.value.label("queue"),
    _workers.c.value.label("worker"),
)

SUMMARIES: Select[Any] = select(
    *(column for column in tasks.columns if column.name not in _LONG), *_texts
).select_from(JOINED)
PLACES: Select[Any] = select(tasks.c.seq).select_from(JOINED)
WHOLE: Select[Any] = select(*tasks.columns, *_texts).select_from(JOINED)


def read_summaries(connection: Connection, query: Select[Any]) -> list[Task]:
    """The tasks of a query made from SUMMARIES."""
    return [to_task(row, {}, whole=False) for row in connection.execute(query).mappings()]


def read_whole(connection: Connection, query: Select[Any]) -> list[Task]:
    """The tasks of a query made from WHOLE, with the values that stand outside their rows."""
    rows = connection.execute(query).mappings().all()
    outside = _outside(connection, [row["seq"] for row in rows if row["outside"]])
    return [to_task(row, outside.get(row["seq"], {}), whole=True) for row in rows]


def _outside(connection: Connection, places: Iterable[int]) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    for place in places:
        query = select(task_values.c.field, task_values.c.value).where(task_values.c.seq == place)
        found[place] = {row.field: row.value for row in connection.execute(query)}
    return found
