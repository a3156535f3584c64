"""Many rows written or looked up by one statement, which is text that was made once.

SQLite runs a statement row by row at no cost; a server is sent all rows in one message, as an
array a column, for two reasons. A message a row costs it more than the row. And whoever is frozen
between two messages of one statement (COPY, or a pipeline) keeps its locks for as long as that
takes, for no timeout of PostgreSQL ends a wait for the rest of a statement; one message is there
or not. What was measured: docs/decisions/0010-postgresql.md.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, Text

Cells = Sequence[Any]
"""A row's cells in the order of the statement's columns."""

_MARKS = {size: ", ".join("?" * size) for size in (4, 40, 400)}
"""By how many values a statement takes in SQLite, which keeps what it has compiled by the
statement's text: compiling a list of 400 costs more than looking it up."""
MESSAGE = 64 * 1024 * 1024
"""Characters of one message to PostgreSQL, which takes 1 GiB at most, and some six times what a
row can have."""
LOOKED_UP = max(_MARKS)
"""Values of one look-up: a statement of a length that both databases like."""


def is_postgres(connection: Connection) -> bool:
    """The one question that tells the two dialects apart, wherever they differ."""
    return connection.dialect.name == "postgresql"


class _Arrays:
    """Rows as one array a column, in PostgreSQL's text form: psycopg's own lists take six times as
    long to make."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        # Not before it is needed: with SQLite a start does not wait for this.
        from sqlalchemy.dialects.postgresql.base import PGDialect

        dialect = PGDialect()  # type: ignore[no-untyped-call]
        kinds = [table.c[name].type for name in columns]
        names = [str(kind.compile(dialect)) for kind in kinds]
        self.source = f"unnest({', '.join(f'%s::{name}[]' for name in names)})"
        self._quoted = [isinstance(kind, Text | LargeBinary) for kind in kinds]

    def of(self, rows: Sequence[Cells]) -> tuple[str, ...]:
        """The statement's values."""
        columns = zip(*rows, strict=True)
        return tuple(map(_array, columns, self._quoted))


def _send(connection: Connection, statement: str, arrays: _Arrays, rows: Sequence[Cells]) -> None:
    values = arrays.of(rows)
    if len(rows) > 1 and sum(map(len, values)) > MESSAGE:
        half = len(rows) // 2
        _send(connection, statement, arrays, rows[:half])
        _send(connection, statement, arrays, rows[half:])
    else:
        connection.exec_driver_sql(statement, values)


def _array(cells: Sequence[Any], quoted: bool) -> str:
    if not quoted:
        return f"{{{','.join(['NULL' if cell is None else str(cell) for cell in cells])}}}"
    texts = ["NULL" if cell is None else f'"{_escaped(cell)}"' for cell in cells]
    return f"{{{','.join(texts)}}}"


def _escaped(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return "\\\\x" + text.hex()
    return text.replace("\\", "\\\\").replace('"', '\\"')


class Insert:
    """Rows added to a table. `conflict` is the rest of the statement, in which `{greatest}` is the
    function that takes the greater of two values; `key` the columns that it is about."""

    def __init__(
        self, table: Table, columns: Sequence[str], conflict: str = "", key: Sequence[str] = ()
    ) -> None:
        marks = ", ".join("?" * len(columns))
        into = f"INSERT INTO {table.name} ({', '.join(columns)})"
        self._each = f"{into} VALUES ({marks}) {conflict.format(greatest='max')}"
        self._into, self._conflict = into, conflict
        self._table, self._columns = table, columns
        self._key = tuple(columns.index(name) for name in key)

    @cached_property
    def _arrays(self) -> _Arrays:
        return _Arrays(self._table, self._columns)

    @cached_property
    def _all(self) -> str:
        after = self._conflict.format(greatest="greatest")
        return f"{self._into} SELECT * FROM {self._arrays.source} {after}"  # noqa: S608

    def run(self, connection: Connection, rows: Sequence[Cells]) -> None:
        """Writes rows, in order; none is fine."""
        if not rows:
            return
        if not is_postgres(connection):
            connection.exec_driver_sql(self._each, list(rows))
            return
        for some in self._rounds(rows):
            _send(connection, self._all, self._arrays, some)

    def _rounds(self, rows: Sequence[Cells]) -> list[list[Cells]]:
        """The same rows, with no key twice in one round: PostgreSQL refuses to change a row
        twice in one statement."""
        if not self._key:
            return [list(rows)]
        rounds: list[list[Cells]] = []
        times = Counter[Cells]()
        for row in rows:
            key = tuple(row[at] for at in self._key)
            if times[key] == len(rounds):
                rounds.append([])
            rounds[times[key]].append(row)
            times[key] += 1
        return rounds


class Update:
    """Rows changed, each found by the column `key`, whose cell comes last."""

    def __init__(self, table: Table, columns: Sequence[str], key: str) -> None:
        marks = ", ".join(f"{name} = ?" for name in columns)
        self._each = f"UPDATE {table.name} SET {marks} WHERE {key} = ?"  # noqa: S608
        self._table, self._columns, self._key = table, columns, key

    @cached_property
    def _arrays(self) -> _Arrays:
        return _Arrays(self._table, (*self._columns, self._key))

    @cached_property
    def _all(self) -> str:
        name, key = self._table.name, self._key
        cells = ", ".join(f"{column} = given.{column}" for column in self._columns)
        names = ", ".join((*self._columns, key))
        return (
            f"UPDATE {name} SET {cells} FROM {self._arrays.source} AS given ({names})"  # noqa: S608
            f" WHERE {name}.{key} = given.{key}"
        )

    def run(self, connection: Connection, rows: Sequence[Cells]) -> None:
        """Changes rows; none is fine."""
        if rows and is_postgres(connection):
            _send(connection, self._all, self._arrays, rows)
        elif rows:
            connection.exec_driver_sql(self._each, list(rows))


def look_up(connection: Connection, statement: str, values: Sequence[Any]) -> Iterator[Cells]:
    """The rows of a statement that has `IN ({})` for these values."""
    for at in range(0, len(values), LOOKED_UP):
        some = values[at : at + LOOKED_UP]
        if is_postgres(connection):
            kind = "text" if isinstance(some[0], str) else "bigint"
            asked = statement.replace("IN ({})", f"= ANY(%s::{kind}[])")
            yield from connection.exec_driver_sql(asked, (_array(some, kind == "text"),)).all()
            continue
        size = next(size for size in _MARKS if size >= len(some))
        # A value that stands there twice finds nothing twice.
        filled = (*some, *[some[-1]] * (size - len(some)))
        yield from connection.exec_driver_sql(statement.format(_MARKS[size]), filled).all()
