"""Arguments that a search asks for, compared in the rows: no index knows a value by its name."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from app.domain.arguments import Argument
from app.domain.texts import call_text
from app.store.schema import tasks
from app.store.selects import JOINED, NAME
from app.store.ways import those

CALLS: Select[Any] = select(
    tasks.c.seq,
    tasks.c.id,
    NAME,
    tasks.c.args,
    tasks.c.args_repr,
    tasks.c.kwargs,
    tasks.c.kwargs_repr,
).select_from(JOINED)
"""What a search for arguments looks at."""


def taken(connection: Connection, arguments: Sequence[Argument], query: Select[Any]) -> list[int]:
    """The places of those tasks of a query made from CALLS that were called so.

    In either database the same Python decides: values stand as JSON, or as Python shows them.
    """
    found = []
    for seq, task_id, name, *fields in connection.execute(query):
        call = call_text(task_id, name, *fields)
        if all(argument.takes(name, call, fields) for argument in arguments):
            found.append(seq)
    return found


def compared_rows(
    connection: Connection,
    arguments: Sequence[Argument],
    rows: Select[Any],
    places: Sequence[Any],
    conditions: Sequence[ColumnElement[bool]],
) -> Select[Any]:
    """The rows at these places, each the last column, that fulfil the conditions and were called
    with these arguments."""
    seqs = [place[-1] for place in places]
    if not arguments:
        return rows.where(those(seqs), *conditions)
    return rows.where(those(taken(connection, arguments, CALLS.where(those(seqs), *conditions))))
