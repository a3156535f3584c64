"""Names of tasks, queues and workers, each kept once and numbered."""

from collections.abc import Iterable
from enum import IntEnum

from sqlalchemy import Connection, select

from app.store.database import Database
from app.store.schema import labels

LABEL_LENGTH = 512
"""Characters of a name that are kept; Celery sets no limit, and nobody types longer ones."""
LOOKED_UP = 400
"""Labels of one look-up: a statement of a length that SQLite and PostgreSQL both like."""


class Kind(IntEnum):
    """What a label names. The numbers stand in the table."""

    NAME = 1
    QUEUE = 2
    WORKER = 3


Label = tuple[Kind, str]

_INSERT = "INSERT INTO labels (kind, value) VALUES (?, ?) ON CONFLICT DO NOTHING"


def number(connection: Connection, wanted: Iterable[Label]) -> dict[Label, int]:
    """The number of each label; those that are new get one. Needs a transaction that writes."""
    asked = set(wanted)
    found = _look_up(connection, asked)
    if missing := sorted(asked - found.keys()):
        connection.exec_driver_sql(_INSERT, [(int(kind), value) for kind, value in missing])
        found |= _look_up(connection, missing)
    return found


def _look_up(connection: Connection, asked: Iterable[Label]) -> dict[Label, int]:
    found: dict[Label, int] = {}
    for kind in Kind:
        values = [value for of, value in asked if of is kind]
        for at in range(0, len(values), LOOKED_UP):
            query = select(labels.c.id, labels.c.value).where(
                labels.c.kind == int(kind), labels.c.value.in_(values[at : at + LOOKED_UP])
            )
            found |= {(kind, value): number for number, value in connection.execute(query)}
    return found


def suggest(db: Database, kind: Kind, begins: str = "", limit: int = 50) -> list[str]:
    """Known labels of a kind that begin so, in their order."""
    value = labels.c.value
    query = select(value).where(labels.c.kind == int(kind), value >= begins).order_by(value)
    if begins:
        query = query.where(value < begins + "\U0010ffff")
    with db.reading() as connection:
        return list(connection.scalars(query.limit(limit)))
