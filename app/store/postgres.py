"""What is PostgreSQL's own: connections, how long anything may take, the locks for writing.

Nothing waits for ever, on either side. The server ends what takes too long, and the transaction of
a client that is frozen or cut off; the client gives up on a server that is frozen or cut off.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar, cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc, text

from app.domain.errors import CannotStart, StoreUnavailable
from app.store import fence, search, search_postgres
from app.store.address import PostgresDatabase

KEPT_OPEN = 2
"""Connections that a process keeps open: a recorder needs one, a quiet web process no more. A
server has room for a hundred by default, and twenty replicas are to fit."""
MORE = 6
"""Connections beyond them while they are needed; the web reads in a bounded number of threads."""
CONNECT_SECONDS = 3
"""Until a server that takes a connection but says nothing counts as away."""
STATEMENT_SECONDS = 10.0
"""The longest statement: a page takes milliseconds, and a person has given up by then."""
LOCK_SECONDS = 5.0
"""The longest wait for another writer. Transactions take milliseconds, so a longer one means that
something is wrong."""
ANSWER_SECONDS = 12.0
"""Until a server that should have ended a statement itself counts as away: it is frozen."""
MIGRATION_SECONDS = 600.0
"""For a migration, and for waiting until another process has made it."""
OLDEST = 130_000
"""PostgreSQL 13, the oldest in which the owner of a database may add pg_trgm."""

_WRITERS, _MIGRATION = 0x756D62656C, 0x756D62656D
"""Advisory locks of the database: of a transaction that writes, and of one that migrates."""
_HELD = f"set_config('idle_in_transaction_session_timeout', '{fence.HELD_SECONDS:.0f}s', true)"
_BEGIN = f"SELECT {_HELD}, pg_advisory_xact_lock({_WRITERS})"

_SESSION = {
    "statement_timeout": int(STATEMENT_SECONDS * 1000),
    "lock_timeout": int(LOCK_SECONDS * 1000),
    # A frozen reader keeps others from nothing but tidying up; a writer is given less, below.
    "idle_in_transaction_session_timeout": int(STATEMENT_SECONDS * 1000),
    # What is common and what is rare decides the way of a search, and is in the values.
    "plan_cache_mode": "force_custom_plan",
    # Compiling costs more than any of these statements takes.
    "jit": "off",
    # What is looked up by an index is in memory or on a disk without a head to move.
    "random_page_cost": "1.1",
}

T = TypeVar("T")


class Door:
    """One database of a server, as `app.store.database` opens it."""

    reads: ClassVar[dict[str, Any]] = {
        "isolation_level": "REPEATABLE READ",
        "postgresql_readonly": True,
    }
    """A read sees one moment of the store, over all its statements."""
    writes: ClassVar[dict[str, Any]] = {
        "isolation_level": "READ COMMITTED",
        "postgresql_readonly": False,
    }

    def __init__(self, address: PostgresDatabase) -> None:
        self.address = address

    def connect(self) -> Engine:
        """An engine, which connects when it is first used."""
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connection,
            pool_size=KEPT_OPEN,
            max_overflow=MORE,
            # Asked before each use, so that a server that was restarted is not noticed at all.
            pool_pre_ping=True,
            use_native_hstore=False,
        )
        event.listen(engine, "begin", _begin)
        return engine

    def _connection(self) -> "_Patient":
        at, given = self.address, dict(self.address.options)
        ours = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        given["options"] = f"{ours} {given.get('options', '')}"
        own: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "umbel"}
        who = {"user": at.user, "password": at.password}
        own |= {name: value for name, value in who.items() if value} | given
        return _Patient.connect(
            host=at.host, port=at.port, dbname=at.name, client_encoding="utf8", **own
        )

    def prepare(self, engine: Engine) -> None:
        """Before the first table, or outside of any transaction: nothing."""

    @contextmanager
    def migrating(self, engine: Engine) -> Iterator[Connection]:
        """A transaction that changes the schema, in one process at a time. Raises CannotStart."""
        with engine.connect() as connection, connection.begin():
            _refuse_old(connection, self.address)
            raw = cast(_Patient, connection.connection.driver_connection)
            raw.patience = MIGRATION_SECONDS
            most = int(MIGRATION_SECONDS * 1000)
            for name in ("statement_timeout", "lock_timeout"):
                connection.execute(text(f"SET LOCAL {name} = {most}"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION})"))
            yield connection
            raw.patience = ANSWER_SECONDS

    def ready(self, engine: Engine) -> None:
        """Once the schema is there: what the engine should know of it."""
        with engine.connect() as connection:
            letters = search_postgres.indexed(connection)
        engine.update_execution_options(**{search.LETTERS: letters})

    def tend(self, engine: Engine) -> float | None:
        """The server looks after itself."""
        return None

    def refusal(self, error: exc.DBAPIError) -> CannotStart | StoreUnavailable:
        """What an error of the server, or the lack of one, means to people."""
        if isinstance(error.orig, psycopg.ProgrammingError):
            return CannotStart(f"{self.address} can't be used: {_reason(error.orig)}.")
        return StoreUnavailable(f"{self.address} can't be used: {_reason(error.orig)}.")


class _Patient(psycopg.Connection[Any]):
    """A connection that gives up, and closes, when the server does not answer in time."""

    patience = ANSWER_SECONDS

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Waits until the driver's conversation `gen` ends."""
        try:
            return super().wait(_until(gen, self.patience), *args, **kwargs)
        except _Unanswered:
            self.pgconn.finish()
            raise


class _Unanswered(psycopg.OperationalError):
    """The server was asked, and says nothing."""


def _until(gen: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
    """The same conversation, which raises _Unanswered after that many seconds."""
    deadline = time.monotonic() + patience
    try:
        wanted = next(gen)
        while True:
            # The driver looks in a few times a second, also where nothing has come.
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise _Unanswered(f"no answer within {patience:.0f} s")
            wanted = gen.send(ready)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("postgresql_readonly") is False:
        connection.exec_driver_sql(_BEGIN)


def _refuse_old(connection: Connection, address: PostgresDatabase) -> None:
    version = int(connection.scalar(text("SHOW server_version_num")) or 0)
    if version < OLDEST:
        raise CannotStart(
            f"{address} is of version {version // 10_000}: Umbel needs {OLDEST // 10_000} or newer."
        )
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise CannotStart(f"{address} keeps text as {encoding}: make one with ENCODING 'UTF8'.")


_HINTS = ("Is the server running", "DETAIL", "HINT", "LINE ", "\t", "^")


def _reason(error: BaseException | None) -> str:
    """The one line of an error that says why. The driver never puts a password into it."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"it took longer than {STATEMENT_SECONDS:.0f} s"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return f"another writer has not ended within {LOCK_SECONDS:.0f} s"
    lines = [line for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_HINTS)] or ["no reason given"]
    return lines[-1].rpartition("failed: ")[2].strip(" -.")
