"""Pages of the task list: any filter, in order, from a cursor on."""

from dataclasses import dataclass

from sqlalchemy import func, select

from app.domain.errors import BadInput, FieldError
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task
from app.store.database import Database
from app.store.schema import STATE_CODES, tasks
from app.store.selects import SUMMARIES, read_summaries

MAX_PAGE = 500
"""Tasks of one page; a script that wants more follows the cursor."""


@dataclass(frozen=True, slots=True)
class Page:
    """Summaries in order. `next` is the cursor of what follows, None at the end."""

    tasks: list[Task]
    next: str | None


def page(
    db: Database,
    filter: TaskFilter,
    *,
    sort: Sort = Sort.NEWEST,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """One page. Raises BadInput for a limit outside 1..MAX_PAGE and a cursor that isn't ours."""
    if not 1 <= limit <= MAX_PAGE:
        error = FieldError(("query", "limit"), f"{limit} is not from 1 to {MAX_PAGE}")
        raise BadInput("The page can't be that long.", (error,))
    query = SUMMARIES.order_by(tasks.c.seq.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(tasks.c.seq < int(cursor))
    if filter.states:
        query = query.where(tasks.c.state.in_([STATE_CODES[s] for s in filter.states]))
    with db.reading() as connection:
        found = read_summaries(connection, query)
    return Page(found[:limit], str(found[limit - 1].seq) if len(found) > limit else None)


def count_newer(db: Database, filter: TaskFilter, seq: int, cap: int = 100) -> int:
    """How many tasks that match came after that place, at most `cap`."""
    query = select(tasks.c.seq).where(tasks.c.seq > seq).limit(cap)
    with db.reading() as connection:
        return connection.scalar(select(func.count()).select_from(query.subquery())) or 0
