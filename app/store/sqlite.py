"""What is SQLite's own: connections, pragmas, the lock for migrations."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL

from app.domain.errors import CannotStart, StoreUnavailable
from app.store import search_sqlite
from app.store.address import SqliteFile

BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for another. The recorder's transactions take milliseconds and
the web's are single rows, so a longer wait means that something is wrong."""
CACHE_KIB = 32 * 1024
"""Page cache of one connection: the inner pages of every index at tens of millions of tasks."""
READERS = 8
"""Connections kept open; the web reads from a bounded number of threads."""
CHECKPOINT_PAGES = 8_000
"""Pages of the write-ahead log (32 MiB) at which `Log` carries it over into the file. A storm
changes the same pages in commit after commit; the longer the log, the fewer times they are
copied."""
CHECKPOINT_SECONDS = (0.5, 30.0)
"""How often at most and at least, so that a log that nobody writes to is soon empty."""
LONGEST_LOG = 64_000
"""Pages (256 MiB) at which a commit carries the log over itself, which takes seconds: only where
no recorder does it beside."""
WAL_BYTES = 64 * 1024 * 1024
"""To this size the write-ahead log is cut back after a checkpoint that emptied it."""

SPARE_PAGES = 4_096
"""Free pages (16 MiB) that are always kept for what comes next."""
GIVEN_BACK = 256
"""Pages (1 MiB) that are given back at once: each is one from the end of the file, moved."""

_PRAGMAS = (
    # A power cut may lose the last moments before it, never the file's consistency: they are
    # healed from the broker and the workers like any blind window. A killed process loses
    # nothing. FULL would wait for the disk at every commit, twenty times a second.
    "synchronous=NORMAL",
    f"busy_timeout={int(BUSY_TIMEOUT * 1000)}",
    f"cache_size=-{CACHE_KIB}",
    # What is mapped counts as the memory of each process, and made commits no faster.
    "mmap_size=0",
    f"journal_size_limit={WAL_BYTES}",
    f"wal_autocheckpoint={LONGEST_LOG}",
    # Some builds overwrite what is deleted with zeros by default, which doubles retention's work.
    "secure_delete=OFF",
    "temp_store=MEMORY",
)

# For each None the driver looks whether somebody has taught it another value for it, which takes
# longer than all the rest of most cells: an adapter found at once is a third of that.
_none_as_it_is: dict[None, None] = {}
sqlite3.register_adapter(type(None), _none_as_it_is.get)


class Door:
    """One file, as `app.store.database` opens it."""

    reads: ClassVar[dict[str, Any]] = {}
    writes: ClassVar[dict[str, Any]] = {"writes": True}

    def __init__(self, address: SqliteFile) -> None:
        self.address = address
        self._log = Log(address.path)

    def connect(self) -> Engine:
        """An engine, which opens the file when it is first used."""
        return connect(self.address.path)

    def prepare(self, engine: Engine) -> None:
        """Makes the file's folder. Raises CannotStart."""
        folder = self.address.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"The folder {folder} can't be made: {error.strerror}.") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CannotStart(f"The folder {folder} can't be written to.")

    @contextmanager
    def migrating(self, engine: Engine) -> Iterator[Connection]:
        """A transaction that changes the schema, in one process at a time."""
        with alone(self.address.path.parent):
            make(engine)
            options = engine.connect().execution_options(**self.writes)
            with options as connection, connection.begin():
                yield connection

    def ready(self, engine: Engine) -> None:
        """Once the schema is there: nothing."""

    def tend(self, engine: Engine) -> float | None:
        """Carries the write-ahead log over; seconds until it should be done again. Raises
        StoreUnavailable."""
        try:
            return self._log.carry_over()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.address} can't be used: {error}.") from None

    def refusal(self, error: exc.DBAPIError) -> CannotStart | StoreUnavailable:
        """What an error of the file means to people."""
        path, code = self.address.path, getattr(error.orig, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return CannotStart(f"The file {path} is damaged or is not a database.")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return CannotStart(f"The file {path} can't be opened for writing.")
        return StoreUnavailable(f"{self.address} can't be used: {error.orig}.")


class Log:
    """The write-ahead log, carried over into the file on a connection of its own.

    SQLite would do it within a commit that finds the log long, which waits for the disk meanwhile:
    hundreds of milliseconds. Nobody waits for this one, neither readers nor whoever writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pause = CHECKPOINT_SECONDS[0]
        self._length = 0

    def carry_over(self) -> float:
        """Copies what stands in the log by now; seconds until as much should have come again.

        Raises sqlite3.Error.
        """
        # None of the pool's: the pages that the one of the commits has cached stay with it.
        with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT)) as raw:
            raw.execute("PRAGMA synchronous=NORMAL")
            _, length, _ = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # A log that is all copied is begun anew by the next commit.
        come = length - self._length if length >= self._length else length
        self._length = length
        wanted = self._pause * CHECKPOINT_PAGES / max(1, come)
        least, most = CHECKPOINT_SECONDS
        self._pause = max(least, min(wanted, self._pause * 2, most))
        return self._pause


def connect(path: Path) -> Engine:
    """An engine on that file. Transactions that are to write say `execution_options(writes=True)`
    and take the write lock at their beginning, where waiting for it is possible."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=READERS,
        max_overflow=READERS,
        # The one used last has the pages that are asked for next; in turns, each would have them.
        pool_use_lifo=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def make(engine: Engine) -> None:
    """What must be settled before the first table is made, or outside of any transaction."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        # Pages freed by retention are used again; `incremental` lets them be given back too.
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()
    finally:
        raw.close()


def give_back(connection: Connection) -> None:
    """Returns some free pages to the file system, if at least half of the file is free."""
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
    if free > SPARE_PAGES and free * 2 > pages:
        for _ in range(GIVEN_BACK):
            # The driver takes one step of a pragma, and each step gives back one page.
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Held by one process at a time for that folder; let go of by the system if it dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prepare(raw: Any, _record: object) -> None:
    # The driver would begin transactions by itself, and never at the first SELECT.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    search_sqlite.teach(raw)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
