"""Rows looked up by many values at once, with a few statements that are always the same.

SQLite keeps what it has compiled by the statement's text, and compiling a list of 400 costs
more than looking it up. SQLAlchemy's own `IN` is as dear again, at each of the recorder's ticks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

_MARKS = {size: ", ".join("?" * size) for size in (4, 40, 400)}
"""By how many values a statement takes: few sizes, so that all stay compiled."""
LOOKED_UP = max(_MARKS)
"""Values of one look-up: a statement of a length that SQLite and PostgreSQL both like."""


Cells = Sequence[Any]
"""A row's cells in the order of the statement's columns."""


def look_up(connection: Connection, statement: str, values: Sequence[Any]) -> Iterator[Cells]:
    """The rows of a statement that has `IN ({})` for these values."""
    for at in range(0, len(values), LOOKED_UP):
        some = values[at : at + LOOKED_UP]
        size = next(size for size in _MARKS if size >= len(some))
        # A value that stands there twice finds nothing twice.
        filled = (*some, *[some[-1]] * (size - len(some)))
        yield from connection.exec_driver_sql(statement.format(_MARKS[size]), filled).all()
