"""Tasks that were given up, and why: the last word of their stories."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select

from app.domain.tasks import TaskState, Transition
from app.store.database import Database
from app.store.rows import steps_of
from app.store.schema import STATE_CODES, tasks

LOOKED_AT = 500
"""The latest lost tasks whose reasons are counted: they are read in some milliseconds, and who
has lost more has one cause to look for."""
NOT_KNOWN = "not known"
"""Stands for a reason where a story has none."""

_LOST = tasks.c.state == STATE_CODES[TaskState.LOST]


def reasons(db: Database, ids: Sequence[str]) -> dict[str, str]:
    """Why each of these tasks was given up, by id; left out where it was not, or isn't told."""
    if not ids:
        return {}
    query = select(tasks.c.id, tasks.c.transitions).where(tasks.c.id.in_(ids), _LOST)
    with db.reading() as connection:
        found = {row.id: reason_of(steps_of(row.transitions)) for row in connection.execute(query)}
    return {task_id: reason for task_id, reason in found.items() if reason is not None}


def tally(db: Database, since: float, limit: int = LOOKED_AT) -> Counter[str]:
    """Reasons of the tasks given up since then, among the latest `limit`."""
    query = select(tasks.c.transitions).where(_LOST).order_by(tasks.c.seq.desc()).limit(limit)
    with db.reading() as connection:
        stories = [steps_of(text) for text in connection.scalars(query)]
    late = [steps for steps in stories if steps and steps[-1].at >= since]
    return Counter(reason_of(steps) or NOT_KNOWN for steps in late)


def reason_of(steps: Sequence[Transition]) -> str | None:
    """The note of the step that gave the task up: the newest of those, whatever its time."""
    notes = [step.note for step in steps if step.state is TaskState.LOST]
    return notes[-1] if notes else None
