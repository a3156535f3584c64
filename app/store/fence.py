"""Who may write task truth: whoever claimed it last. The store itself refuses all others.

A lease says who should be active; a process that was paused, or cut off, cannot know that it no
longer is. So the one that takes the lease claims a token here, every write of its is checked
against it in the same transaction, and a claim ends whatever an earlier one was about to write.
"""

import time
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, text

from app.domain.errors import Superseded
from app.store.rows import ID_LENGTH, clean
from app.store.schema import fence

if TYPE_CHECKING:  # which checks each of its transactions here
    from app.store.database import Database

HELD_SECONDS = 2.0
"""Longest that one who is frozen or cut off inside a transaction may keep another from claiming,
so that a takeover stays below 5 s: what a server that keeps transactions for absent clients
(PostgreSQL's `idle_in_transaction_session_timeout`) is to be told. On SQLite a frozen process
holds the file's lock until whoever watches it ends it."""

_ONLY = 1
_CLAIM = text(
    "INSERT INTO fence (id, token, holder, taken_at) VALUES (:id, 1, :holder, :taken_at)"
    " ON CONFLICT (id) DO UPDATE SET token = fence.token + 1, holder = excluded.holder,"
    " taken_at = excluded.taken_at RETURNING token"
)


def claim(db: "Database", holder: str) -> int:
    """Takes the right to write from whoever had it; the token for `Database.fenced`.

    Read what you go on from only after this: from then on nobody else changes it. Raises
    StoreUnavailable.
    """
    values = {"id": _ONLY, "holder": clean(holder, ID_LENGTH), "taken_at": time.time()}
    with db.writing() as connection:
        token: int = connection.execute(_CLAIM, values).scalar_one()
        return token


def check(connection: Connection, token: int) -> None:
    """Raises Superseded where another has claimed since, and keeps others from it until the
    transaction ends."""
    query = select(fence.c.token, fence.c.holder).where(fence.c.id == _ONLY)
    found = connection.execute(query.with_for_update(read=True)).one_or_none()
    if found is None or found.token != token:
        by = "nobody" if found is None else found.holder
        raise Superseded(f"The store is written by {by} now.")
