"""Names of tasks, queues and workers, each kept once and numbered."""

from collections.abc import Mapping, Set
from enum import IntEnum

from sqlalchemy import Connection, select

from app.store.bulk import Insert, look_up
from app.store.database import Database
from app.store.rows import ID_LENGTH, clean
from app.store.schema import labels


class Kind(IntEnum):
    """What a label names. The numbers stand in the table."""

    NAME = 1
    QUEUE = 2
    WORKER = 3


Numbers = dict[Kind, dict[str | None, int | None]]
"""The number of each text of each kind; None has none."""

_INSERT = Insert(labels, ("kind", "value"), "ON CONFLICT DO NOTHING")
_FIND = {
    kind: f"SELECT value, id FROM labels WHERE kind = {kind:d} AND value IN ({{}})"  # noqa: S608
    for kind in Kind
}


def number(connection: Connection, wanted: Mapping[Kind, Set[str]]) -> Numbers:
    """The number of each text; those that are new get one. Needs a transaction that writes."""
    return {kind: _number(connection, kind, texts) for kind, texts in wanted.items()}


def _number(connection: Connection, kind: Kind, texts: Set[str]) -> dict[str | None, int | None]:
    kept = {text: clean(text, ID_LENGTH) or "" for text in texts}
    asked = set(kept.values())
    found = _look_up(connection, kind, asked)
    if missing := sorted(asked - found.keys()):
        _INSERT.run(connection, [(int(kind), value) for value in missing])
        found |= _look_up(connection, kind, set(missing))
    return {None: None, "": None} | {text: found[value] for text, value in kept.items()}


def _look_up(connection: Connection, kind: Kind, asked: Set[str]) -> dict[str, int]:
    return {row[0]: row[1] for row in look_up(connection, _FIND[kind], list(asked))}


def suggest(db: Database, kind: Kind, begins: str = "", limit: int = 50) -> list[str]:
    """Known labels of a kind that begin so, in their order."""
    value = labels.c.value
    query = select(value).where(labels.c.kind == int(kind), value >= begins).order_by(value)
    if begins:
        query = query.where(value < begins + "\U0010ffff")
    with db.reading() as connection:
        return list(connection.scalars(query.limit(limit)))
