"""When Umbel could not hear, why, and since when that is made good."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, insert, or_, select, update

from app.store.database import Database
from app.store.rows import ID_LENGTH, REPR_LIMIT, clean
from app.store.schema import blind_windows

EVENTS = "events"
"""The source of what Celery publishes: heard by whoever listens, kept by nobody."""
STREAM = "stream"
"""The source of what workers with the plugin write down."""
UNHEALED_LIMIT = 10_000
"""Windows that are healed together: in one trouble each producer can have one of its own."""
_KEY = ("began_at", "cause", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindWindow:
    """From when to when events went unheard; `ended_at` None: they still do. `id` None: new.

    Times are seconds since the epoch. `source` is the way of hearing that was blind: `events`,
    `stream`, or one producer's name. `note` says how it was healed, or what stays unknown;
    `found` how many tasks healing heard of for the first time, `ended` of how many it learned
    the end, `lost` how many it had to give up.
    """

    began_at: float
    cause: str
    ended_at: float | None = None
    healed_at: float | None = None
    note: str | None = None
    source: str = EVENTS
    found: int | None = None
    ended: int | None = None
    lost: int | None = None
    id: int | None = None


def put(connection: Connection, windows: list[BlindWindow]) -> None:
    """Writes windows: one of the same beginning, cause and source is replaced."""
    for window in windows:
        values = {
            "began_at": window.began_at,
            "cause": clean(window.cause, REPR_LIMIT),
            "ended_at": window.ended_at,
            "healed_at": window.healed_at,
            "note": clean(window.note, REPR_LIMIT),
            "source": clean(window.source, ID_LENGTH),
            "found": window.found,
            "ended": window.ended,
            "lost": window.lost,
        }
        same = and_(*(blind_windows.c[name] == values[name] for name in _KEY))
        if connection.execute(update(blind_windows).where(same).values(values)).rowcount == 0:
            connection.execute(insert(blind_windows), values)


def latest(db: Database, limit: int = 100) -> list[BlindWindow]:
    """The latest windows, newest first."""
    return _read(db, select(blind_windows).order_by(blind_windows.c.id.desc()).limit(limit))


def between(db: Database, since: float, until: float, limit: int = 100) -> list[BlindWindow]:
    """The latest windows that touch a time, newest first."""
    ended_at = blind_windows.c.ended_at
    touching = (blind_windows.c.began_at < until, or_(ended_at.is_(None), ended_at > since))
    query = select(blind_windows).where(*touching).order_by(blind_windows.c.id.desc())
    return _read(db, query.limit(limit))


def unhealed(db: Database, limit: int = UNHEALED_LIMIT) -> list[BlindWindow]:
    """Windows that have ended and are not healed, oldest first."""
    left = and_(blind_windows.c.ended_at.is_not(None), blind_windows.c.healed_at.is_(None))
    return _read(db, select(blind_windows).where(left).order_by(blind_windows.c.id).limit(limit))


def _read(db: Database, query: Select[Any]) -> list[BlindWindow]:
    with db.reading() as connection:
        rows = connection.execute(query).mappings()
        return [BlindWindow(**{**row, "source": row["source"] or EVENTS}) for row in rows]


def by_cause(db: Database) -> dict[str, tuple[int, int]]:
    """How many windows are kept of each cause, and how many of those are not healed yet."""
    unhealed = func.sum(case((blind_windows.c.healed_at.is_(None), 1), else_=0))
    query = select(blind_windows.c.cause, func.count(), unhealed).group_by(blind_windows.c.cause)
    with db.reading() as connection:
        return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}
