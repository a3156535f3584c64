"""One database: opened, migrated, read and written in transactions."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, exc, inspect, text

from app.domain.errors import CannotStart, StoreUnavailable
from app.store import fence, sqlite
from app.store.migrations import HEAD

FILE_NAME = "umbel.db"
"""The file's name where only a folder is given."""


class Database:
    """An open store. Safe to share between threads; every process opens its own.

    `token` is what every write is checked against; None, as for the web's audit, checks nothing.
    """

    def __init__(self, engine: Engine, place: str, token: int | None = None) -> None:
        self.engine = engine
        self.place = place
        self.token = token

    @classmethod
    def open(cls, url: str | Path) -> "Database":
        """Opens `sqlite:///path`, or a path: a file, or a folder that gets `umbel.db` in it.

        Makes the folder and brings the schema up to date; any number of processes may do so
        at once. Raises CannotStart where a person has to act (folder, file, newer schema),
        StoreUnavailable where trying again may help.
        """
        path = _path_of(url)
        _make_folder(path.parent)
        engine = sqlite.connect(path)
        try:
            with _said_plainly(str(path)):
                _bring_up_to_date(engine, path)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, str(path))

    def fenced(self, token: int) -> "Database":
        """The same store for the recorder that has claimed `token`: none of its writes, whatever
        module makes it, gets through once another has claimed."""
        return Database(self.engine, self.place, token)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the store. Raises StoreUnavailable."""
        with _said_plainly(self.place), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed when the block ends, undone when it raises.

        Raises Superseded, at its beginning, where another recorder has claimed the store.
        """
        with _said_plainly(self.place), self.engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                if self.token is not None:
                    fence.check(connection, self.token)
                yield connection

    def ping(self) -> None:
        """Raises StoreUnavailable when the store can't be read."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1 FROM alembic_version"))

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def _path_of(url: str | Path) -> Path:
    given = str(url)
    if "://" in given:
        scheme, _, rest = given.partition("://")
        if scheme != "sqlite":
            raise CannotStart(
                f"The database {scheme}://… can't be used: only sqlite:///path is supported."
            )
        if not rest.startswith("/") or rest == "/":
            raise CannotStart(f"The database {given!r} names no file: write sqlite:///path.")
        path = Path(rest[1:])
    else:
        path = Path(given)
        if not path.suffix:
            path /= FILE_NAME
    return path.expanduser().absolute()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"The folder {folder} can't be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(f"The folder {folder} can't be written to.")


@contextmanager
def _said_plainly(place: str) -> Iterator[None]:
    try:
        yield
    except exc.TimeoutError:
        raise StoreUnavailable(
            f"The database {place} has no connection free; too much is read at once."
        ) from None
    except exc.DBAPIError as error:
        if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.InterfaceError):
            raise
        raise StoreUnavailable(f"The database {place} can't be used: {error.orig}.") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    try:
        with engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
        with sqlite.alone(path.parent):
            sqlite.make(engine)
            with engine.connect().execution_options(writes=True) as connection, connection.begin():
                _migrate(connection, path)
    except exc.DatabaseError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: exc.DatabaseError) -> CannotStart | StoreUnavailable:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return CannotStart(f"The file {path} is damaged or is not a database.")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return CannotStart(f"The file {path} can't be opened for writing.")
    return StoreUnavailable(f"The database {path} can't be used: {error.orig}.")


def _migrate(connection: Connection, path: Path) -> None:
    # Alembic takes longer to load than all the rest of the store, and most starts need none.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    present = _revision(connection)
    if present == HEAD:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    if present is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(present)
        except CommandError:
            raise CannotStart(
                f"The file {path} was made by a newer version of Umbel (schema {present})."
            ) from None
    command.upgrade(config, "head")
