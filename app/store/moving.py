"""A whole history copied from one store to another, of the same or the other dialect.

Rows keep their numbers, so that places, cursors and audit stay what they are; the text index is
made anew. How far it came is committed with each batch, in the target's `positions`: whoever
starts it again goes on there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, select, text, tuple_

from app.domain.errors import BadInput, Conflict
from app.store import fence
from app.store.address import SqliteFile, address_of
from app.store.bulk import Insert, is_postgres
from app.store.database import Database
from app.store.positions import read
from app.store.schema import fence as fence_table
from app.store.schema import labels, metadata, positions, task_values, tasks
from app.store.search import Changes

SOURCE = "move-history"
"""The row of the target's `positions` that says how far the move is."""
ROWS = 500
"""Of one transaction: a fraction of a second."""
LONG_ROWS = 25
"""The same of long values, of up to a million characters each."""

TABLES: tuple[Table, ...] = tuple(
    table for table in metadata.sorted_tables if table is not fence_table
)
_INSERTS = {
    table: Insert(table, [column.name for column in table.columns], "ON CONFLICT DO NOTHING")
    for table in TABLES
    if table.name != "announcements"  # which holds bytes, and hardly any rows
}
_SEARCHED = ("args", "args_repr", "kwargs", "kwargs_repr", "result", "result_repr", "exception")


class Progress(msgspec.Struct):
    """How far a move came: `table` is under way up to the key `after`; "" when all is done."""

    source: str
    table: str
    after: list[Any] | None = None
    tasks: int = 0


@dataclass(slots=True)
class Move:
    """One run of a move. `report` is called after each batch."""

    source: Database
    target: Database
    report: Callable[[Progress], None]

    def run(self) -> Progress:
        """Copies what is not yet there. Raises BadInput where source and target are one,
        Conflict where the target has a history of its own or a recorder writes to the source,
        StoreUnavailable; then it can be run again.
        """
        progress = self._begin()
        if not progress.table:
            return progress
        holder = f"umbel move-history, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
        token = fence.claim(self.source, holder)
        target = self.target.fenced(fence.claim(self.target, holder))
        names = [table.name for table in TABLES]
        for table in TABLES[names.index(progress.table) :]:
            if table.name != progress.table:
                progress.table, progress.after = str(table.name), None
            for _ in self._copy(target, table, progress, token):
                self.report(progress)
        self._check(progress)
        progress.table, progress.after = "", None
        with target.writing() as connection:
            _count_on(connection)
            _keep(connection, progress)
        return progress

    def _begin(self) -> Progress:
        if self.source.place == self.target.place:
            raise BadInput("Both addresses are of the same store: there is nothing to move.")
        with self.target.reading() as connection:
            if (found := read(connection, SOURCE)) is not None:
                progress = msgspec.json.decode(found, type=Progress)
                if progress.source != self.source.place:
                    raise Conflict(f"{self.target.place} has the history of: {progress.source}.")
                return progress
            for table in TABLES:
                if connection.execute(select(table).limit(1)).first() is not None:
                    raise Conflict(
                        f"{self.target.place} has a history of its own (table {table.name}): "
                        "move into an empty one."
                    )
        return Progress(self.source.place, str(TABLES[0].name))

    def _copy(
        self, target: Database, table: Table, progress: Progress, token: int
    ) -> Iterator[None]:
        limit = LONG_ROWS if table is task_values else ROWS
        key = tuple_(*table.primary_key.columns)
        while True:
            query = select(table).order_by(*table.primary_key.columns).limit(limit)
            if progress.after is not None:
                query = query.where(key > tuple_(*progress.after))
            with self.source.reading() as connection:
                self._undisturbed(connection, token)
                rows = [tuple(row) for row in connection.execute(query)]
                called = _names(connection, rows) if table is tasks else {}
            if not rows:
                return
            names = [column.name for column in table.columns]
            progress.after = [rows[-1][names.index(c.name)] for c in table.primary_key.columns]
            progress.tasks += len(rows) if table is tasks else 0
            with target.writing() as connection:
                _write(connection, table, rows, called)
                _keep(connection, progress)
            yield

    def _undisturbed(self, connection: Connection, token: int) -> None:
        found = connection.execute(select(fence_table.c.token, fence_table.c.holder)).one()
        if found.token != token:
            raise Conflict(
                f"{self.source.place} is written by {found.holder} now: stop Umbel, empty the "
                "target, and move again."
            )

    def _check(self, progress: Progress) -> None:
        """Raises Conflict where not each task has arrived."""
        query = select(func.count()).select_from(tasks)
        with self.source.reading() as connection:
            there = connection.scalar(query)
        if there != progress.tasks:
            raise Conflict(
                f"{progress.tasks} tasks were moved, but there are {there} in the source: "
                "was it written to meanwhile?"
            )


def open_both(source: str, target: str) -> tuple[Database, Database]:
    """Both stores, opened, at the schema of this version. Raises BadInput for a source that is
    not there, CannotStart, StoreUnavailable."""
    address = address_of(source)
    if isinstance(address, SqliteFile) and not address.path.exists():
        raise BadInput(f"{address} does not exist.")
    opened = Database.open(source)
    try:
        return opened, Database.open(target)
    except BaseException:
        opened.close()
        raise


def _write(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], called: dict[int, str]
) -> None:
    if table not in _INSERTS:
        columns = [column.name for column in table.columns]
        connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
        return
    _INSERTS[table].run(connection, rows)
    if table is tasks:
        changes = Changes()
        at = {column.name: place for place, column in enumerate(tasks.columns)}
        for row in rows:
            searched = (called.get(row[at["name_id"]]), *(row[at[name]] for name in _SEARCHED))
            changes.add(row[at["seq"]], row[at["id"]], searched)
        changes.write(connection)


def _names(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
    place = [column.name for column in tasks.columns].index("name_id")
    wanted = {row[place] for row in rows} - {None}
    query = select(labels.c.id, labels.c.value).where(labels.c.id.in_(wanted))
    return {row.id: row.value for row in connection.execute(query)}


def _keep(connection: Connection, progress: Progress) -> None:
    connection.execute(delete(positions).where(positions.c.source == SOURCE))
    position = msgspec.json.encode(progress).decode()
    connection.execute(insert(positions), {"source": SOURCE, "position": position})


def _count_on(connection: Connection) -> None:
    """Has numbers that the database gives go on after those that were moved."""
    if not is_postgres(connection):
        return  # which goes on after the greatest by itself
    for table in TABLES:
        [*others, column] = table.primary_key.columns
        if not others and column.autoincrement == "auto" and column.type.python_type is int:
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'),"  # noqa: S608
                    f" max({column.name})) FROM {table.name}"
                )
            )
