"""Tasks read from the store: one, some, a page."""

from collections.abc import Sequence

from app.domain.tasks import Task
from app.store.bulk import LOOKED_UP, look_up
from app.store.database import Database
from app.store.labels import Kind, suggest
from app.store.pages import MAX_PAGE, Page, count_unseen, page
from app.store.rollups import counts
from app.store.schema import tasks
from app.store.selects import SUMMARIES, WHOLE, read_summaries, read_whole

__all__ = [
    "MAX_PAGE",
    "Page",
    "children",
    "count_unseen",
    "counts",
    "get",
    "get_many",
    "names",
    "page",
    "queues",
    "retries_of",
    "with_id",
    "workers",
]

_KNOWN = "SELECT id FROM tasks WHERE id IN ({})"


def get(db: Database, task_id: str) -> Task | None:
    """All that is known of a task; None if it was never heard of."""
    return get_many(db, (task_id,)).get(task_id)


def get_many(db: Database, ids: Sequence[str]) -> dict[str, Task]:
    """All that is known of each task that is known, by id."""
    found: dict[str, Task] = {}
    with db.reading() as connection:
        # Of the many that the recorder asks for in a storm, hardly one was heard of before.
        known = [row[0] for row in look_up(connection, _KNOWN, ids)] if len(ids) > 1 else ids
        for at in range(0, len(known), LOOKED_UP):
            query = WHOLE.where(tasks.c.id.in_(known[at : at + LOOKED_UP]))
            found |= {task.id: task for task in read_whole(connection, query)}
    return found


def with_id(db: Database, begins: str, limit: int) -> list[Task]:
    """Summaries of the tasks whose id begins so, in its order; along the index of ids."""
    known = tasks.c.id >= begins, tasks.c.id < begins + "\U0010ffff"
    query = SUMMARIES.where(*known).order_by(tasks.c.id).limit(limit)
    with db.reading() as connection:
        return read_summaries(connection, query)


def children(db: Database, task_id: str, limit: int = 100) -> list[Task]:
    """Summaries of the tasks that a task has sent, the first first."""
    query = SUMMARIES.where(tasks.c.parent_id == task_id).order_by(tasks.c.seq).limit(limit)
    with db.reading() as connection:
        return read_summaries(connection, query)


def retries_of(db: Database, task_id: str, limit: int = 100) -> list[Task]:
    """Summaries of the tasks by which somebody ran a task again, the first first."""
    query = SUMMARIES.where(tasks.c.retry_of == task_id).order_by(tasks.c.seq).limit(limit)
    with db.reading() as connection:
        return read_summaries(connection, query)


def names(db: Database, begins: str = "", limit: int = 50) -> list[str]:
    """Task names that begin so, for suggestions."""
    return suggest(db, Kind.NAME, begins, limit)


def queues(db: Database, begins: str = "", limit: int = 50) -> list[str]:
    """Queue names that begin so, for suggestions."""
    return suggest(db, Kind.QUEUE, begins, limit)


def workers(db: Database, begins: str = "", limit: int = 50) -> list[str]:
    """Worker names that begin so, for suggestions."""
    return suggest(db, Kind.WORKER, begins, limit)
