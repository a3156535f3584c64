"""What people say has happened at a moment, such as a deployment: drawn on charts."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from app.store.database import Database
from app.store.rows import TEXT_LIMIT, clean
from app.store.schema import markers

KEPT = 1_000
"""The newest that are kept: three a day for a year, and no chart can show more. Older ones go when
one is added, and with the tasks of their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Something that happened at a moment, in seconds since the epoch."""

    at: float
    title: str
    version: str | None = None
    url: str | None = None
    id: int = 0


def add(db: Database, marker: Marker) -> int:
    """Keeps it; its number. Of more than KEPT the oldest go."""
    values = {
        "at": marker.at,
        "title": clean(marker.title, TEXT_LIMIT),
        "version": clean(marker.version, TEXT_LIMIT),
        "url": clean(marker.url, TEXT_LIMIT),
    }
    kept = select(markers.c.id).order_by(markers.c.at.desc(), markers.c.id.desc()).limit(KEPT)
    with db.writing() as connection:
        number: int = connection.execute(
            insert(markers).returning(markers.c.id), values
        ).scalar_one()
        connection.execute(delete(markers).where(markers.c.id.not_in(kept)))
        return number


def between(db: Database, since: float | None = None, until: float | None = None) -> list[Marker]:
    """Those from a moment on and before another, the newest first."""
    query = select(markers).order_by(markers.c.at.desc(), markers.c.id.desc())
    if since is not None:
        query = query.where(markers.c.at >= since)
    if until is not None:
        query = query.where(markers.c.at < until)
    with db.reading() as connection:
        return [Marker(**row) for row in connection.execute(query).mappings()]


def remove(db: Database, number: int) -> bool:
    """Takes one away; False where there is none of that number."""
    with db.writing() as connection:
        return connection.execute(delete(markers).where(markers.c.id == number)).rowcount > 0
