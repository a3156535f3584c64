"""How far each producer of durable events has counted: rows among the positions."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from app.store.bulk import LOOKED_UP
from app.store.database import Database
from app.store.schema import positions

PREFIX = "producer:"
"""Before a producer's name, where its number stands among the positions of streams."""


def all_known(db: Database) -> dict[str, str]:
    """What is kept of each producer, by the source that it is kept as."""
    query = select(positions).where(positions.c.source.startswith(PREFIX, autoescape=True))
    with db.reading() as connection:
        return {row.source: row.position for row in connection.execute(query)}


def forget(db: Database, sources: Sequence[str]) -> None:
    """Forgets what is kept of these."""
    with db.writing() as connection:
        for at in range(0, len(sources), LOOKED_UP):
            some = sources[at : at + LOOKED_UP]
            connection.execute(delete(positions).where(positions.c.source.in_(some)))
