"""Who did what: written before it is done, with the outcome after. Rows are never taken back."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from app.domain.events import Json
from app.store.database import Database
from app.store.rows import ID_LENGTH, TEXT_LIMIT, clean
from app.store.schema import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action of one person or program, at a time in seconds since the epoch.

    `target` is what it was done to, a task's id mostly; `detail` is JSON text. `outcome` None:
    it is being done, or we died while doing it.
    """

    at: float
    actor: str
    action: str
    address: str | None = None
    target: str | None = None
    detail: Json = "{}"
    outcome: str | None = None
    outcome_at: float | None = None
    id: int = 0


def record(db: Database, entry: AuditEntry) -> int:
    """Writes that something is about to be done; the number is for `outcome`."""
    values = {
        "at": entry.at,
        "actor": clean(entry.actor, ID_LENGTH),
        "address": clean(entry.address, ID_LENGTH),
        "action": clean(entry.action, ID_LENGTH),
        "target": clean(entry.target, ID_LENGTH),
        "detail": clean(entry.detail, TEXT_LIMIT),
        "outcome": clean(entry.outcome, TEXT_LIMIT),
        "outcome_at": entry.outcome_at,
    }
    with db.writing() as connection:
        number: int = connection.execute(insert(audit).returning(audit.c.id), values).scalar_one()
        return number


def outcome(db: Database, entry_id: int, outcome: str, at: float) -> None:
    """Writes how it went; only once."""
    query = (
        update(audit)
        .where(audit.c.id == entry_id, audit.c.outcome.is_(None))
        .values(outcome=clean(outcome, TEXT_LIMIT), outcome_at=at)
    )
    with db.writing() as connection:
        connection.execute(query)


def entries(db: Database, task_id: str | None = None, limit: int = 100) -> list[AuditEntry]:
    """The latest entries, of one target or of all, newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if task_id is not None:
        query = query.where(audit.c.target == task_id)
    with db.reading() as connection:
        return [AuditEntry(**row) for row in connection.execute(query).mappings()]
