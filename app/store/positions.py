"""How far durable streams have been read: kept with the rows that were read up to there."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from app.store.bulk import Insert
from app.store.database import Database
from app.store.schema import positions

_PUT = Insert(
    positions,
    ("source", "position"),
    "ON CONFLICT (source) DO UPDATE SET position = excluded.position",
)


def put(connection: Connection, read: Mapping[str, str]) -> None:
    """Keeps the position of each source, in the transaction of what was read."""
    _PUT.run(connection, list(read.items()))


def get(db: Database, source: str) -> str | None:
    """How far a source was read; None if it never was."""
    with db.reading() as connection:
        return read(connection, source)


def read(connection: Connection, source: str) -> str | None:
    """The same, in a transaction."""
    return connection.scalar(select(positions.c.position).where(positions.c.source == source))
