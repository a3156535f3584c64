"""The outbox: changes are committed with their rows, and leave only once they are announced.

So a crash between the two loses no change, and announcing them again under the ids that they
already have doubles none.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from app.store.database import Database
from app.store.schema import announcements

_PUT = insert(announcements).inline()


@dataclass(frozen=True, slots=True)
class Announcement:
    """The changes of one commit, encoded by the feed, with the first and last of their ids.

    `number` is the store's and counts up; 0 before it is committed.
    """

    payload: bytes
    first_id: str
    last_id: str
    number: int = 0


def put(connection: Connection, announcement: Announcement) -> None:
    """Keeps an announcement, in the transaction of what it announces."""
    row = {
        "payload": announcement.payload,
        "first_id": announcement.first_id,
        "last_id": announcement.last_id,
    }
    connection.execute(_PUT, row)


def pending(db: Database) -> list[Announcement]:
    """What is committed and not yet known to be announced, in order."""
    with db.reading() as connection:
        rows = connection.execute(select(announcements).order_by(announcements.c.number))
        return [Announcement(row.payload, row.first_id, row.last_id, row.number) for row in rows]


def announced(db: Database, up_to: int) -> None:
    """Forgets announcements up to that number."""
    with db.writing() as connection:
        connection.execute(delete(announcements).where(announcements.c.number <= up_to))
