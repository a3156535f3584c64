"""When Umbel could not hear, why, and since when that is made good."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from app.store.database import Database
from app.store.rows import REPR_LIMIT, clean
from app.store.schema import blind_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindWindow:
    """From when to when events went unheard; `ended_at` None: they still do. `id` None: new.

    Times are seconds since the epoch. `note` says how it was healed, or what stays unknown.
    """

    began_at: float
    cause: str
    ended_at: float | None = None
    healed_at: float | None = None
    note: str | None = None
    id: int | None = None


def put(connection: Connection, windows: list[BlindWindow]) -> None:
    """Writes windows: one that began at the same moment by the same cause is replaced."""
    for window in windows:
        values = {
            "began_at": window.began_at,
            "cause": clean(window.cause, REPR_LIMIT),
            "ended_at": window.ended_at,
            "healed_at": window.healed_at,
            "note": clean(window.note, REPR_LIMIT),
        }
        same = (blind_windows.c.began_at == window.began_at) & (
            blind_windows.c.cause == values["cause"]
        )
        if connection.execute(update(blind_windows).where(same).values(values)).rowcount == 0:
            connection.execute(insert(blind_windows), values)


def latest(db: Database, limit: int = 100) -> list[BlindWindow]:
    """The latest windows, newest first."""
    query = select(blind_windows).order_by(blind_windows.c.id.desc()).limit(limit)
    with db.reading() as connection:
        return [BlindWindow(**row) for row in connection.execute(query).mappings()]
