"""One database: opened, migrated, read and written in transactions."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Connection, Engine, exc, inspect, text

from app.domain.errors import CannotStart, StoreUnavailable
from app.store import fence, sqlite
from app.store.address import FILE_NAME, PostgresDatabase, address_of
from app.store.migrations import HEAD

if TYPE_CHECKING:
    from app.store import postgres

__all__ = ["FILE_NAME", "Database"]

_OURS = (exc.IntegrityError, exc.ProgrammingError, exc.InterfaceError, exc.DataError)
"""What is wrong with what was asked, and not with the database."""

Door: TypeAlias = "postgres.Door | sqlite.Door"


class _Schema:
    """Brought up to date before the first use, by one thread."""

    def __init__(self, door: Door, engine: Engine) -> None:
        self.door = door
        self._engine = engine
        self._ready = False
        self._lock = threading.Lock()

    def need(self) -> None:
        """Returns once the tables are as this version wants them. Raises StoreUnavailable, and
        CannotStart where a person has to act."""
        if self._ready:
            return
        # Whoever comes meanwhile may find a server that is away, and should not wait for that.
        if not self._lock.acquire(blocking=False):
            raise StoreUnavailable(f"{self.door.address} is being opened.")
        try:
            self._bring_up_to_date()
            self._ready = True
        except exc.DatabaseError as error:
            raise self.door.refusal(error) from error
        finally:
            self._lock.release()

    def _bring_up_to_date(self) -> None:
        self.door.prepare(self._engine)
        with self._engine.connect() as connection:
            present = _revision(connection)
        if present != HEAD:
            with self.door.migrating(self._engine) as connection:
                _migrate(connection, self.door)
        self.door.ready(self._engine)


class Database:
    """A store. Safe to share between threads; every process opens its own.

    `token` is what every write is checked against; None, as for the web's audit, checks nothing.
    """

    def __init__(self, engine: Engine, schema: _Schema, token: int | None = None) -> None:
        self.engine = engine
        self.token = token
        self._schema = schema
        self._door = schema.door

    @classmethod
    def at(cls, url: str | Path) -> "Database":
        """The store at `postgresql://…`, `sqlite:///path`, or a path, which is looked for at its
        first use: until it is there, all that needs it raises StoreUnavailable.

        Raises CannotStart for an address of another form.
        """
        address = address_of(url)
        door: Door
        if isinstance(address, PostgresDatabase):
            # Importing its driver is a tenth of a start, which SQLite does not need.
            from app.store import postgres

            door = postgres.Door(address)
        else:
            door = sqlite.Door(address)
        engine = door.connect()
        return cls(engine, _Schema(door, engine))

    @classmethod
    def open(cls, url: str | Path) -> "Database":
        """The same, at once: makes a folder for a file and brings the schema up to date; any
        number of processes may do so at once.

        Raises CannotStart where a person has to act (folder, file, newer schema),
        StoreUnavailable where trying again may help.
        """
        database = cls.at(url)
        try:
            database.prepare()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self._door.address)

    def prepare(self) -> None:
        """Brings the schema up to date, which the first use does by itself. Raises CannotStart,
        StoreUnavailable."""
        with self._said_plainly():
            self._schema.need()

    def fenced(self, token: int) -> "Database":
        """The same store for the recorder that has claimed `token`: none of its writes, whatever
        module makes it, gets through once another has claimed."""
        return Database(self.engine, self._schema, token)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the store. Raises StoreUnavailable."""
        with self._said_plainly():
            self._schema.need()
            with self.engine.connect() as plain:
                yield plain.execution_options(**self._door.reads)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed when the block ends, undone when it raises.

        Raises Superseded, at its beginning, where another recorder has claimed the store.
        """
        with self._said_plainly():
            self._schema.need()
            with self.engine.connect() as plain:
                connection = plain.execution_options(**self._door.writes)
                with connection.begin():
                    if self.token is not None:
                        fence.check(connection, self.token)
                    yield connection

    def tend(self) -> float | None:
        """What the recorder does for the file beside its writing, in a thread of its own; seconds
        until it should be done again, None where there is nothing to do. Raises StoreUnavailable.
        """
        with self._said_plainly():
            self._schema.need()
            return self._door.tend(self.engine)

    def ping(self) -> None:
        """Raises StoreUnavailable when the store can't be read."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1 FROM alembic_version"))

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except exc.TimeoutError:
            raise StoreUnavailable(
                f"{self.place} has no connection free; too much is read at once."
            ) from None
        except exc.DBAPIError as error:
            if isinstance(error, _OURS) and not error.connection_invalidated:
                raise
            raise StoreUnavailable(str(self._door.refusal(error))) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _migrate(connection: Connection, door: Door) -> None:
    present = _revision(connection)
    if present == HEAD:
        return
    # Alembic takes longer to load than all the rest of the store, and most starts need none; of
    # many that start together only the first does, with the others waiting for its lock.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    if present is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(present)
        except CommandError:
            raise CannotStart(
                f"{door.address} was made by a newer version of Umbel (schema {present})."
            ) from None
    command.upgrade(config, "head")
