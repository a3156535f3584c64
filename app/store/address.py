"""Where a store is: told from a URL or a path, and said to people without its password."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from app.domain.errors import CannotStart

FILE_NAME = "umbel.db"
"""The file's name where only a folder is given."""
POSTGRES_SCHEMES = ("postgresql", "postgres")
POSTGRES_PORT = 5432
_OWN = {"user", "password", "port", "dbname"}
"""What stands before the question mark: there it is known for what it is, and not printed."""


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file on this machine."""

    path: Path

    def __str__(self) -> str:
        return f"The database {self.path}"


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database of a PostgreSQL server. `options` are libpq's, such as `sslmode`."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"The database {self.name} of PostgreSQL at {self.host}:{self.port}"


Address = SqliteFile | PostgresDatabase


def address_of(url: str | Path) -> Address:
    """The store of `postgresql://user:password@host:port/database?sslmode=…`, `sqlite:///path`,
    or a path: a file, or a folder that gets `umbel.db` in it. Raises CannotStart."""
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        path = Path(url)
        return _file(path if path.suffix else path / FILE_NAME)
    if scheme in POSTGRES_SCHEMES:
        return _server(str(url))
    if scheme != "sqlite":
        # What stands before the first colon can be part of a password in a mistyped address.
        shown = f"{scheme}://… " if re.fullmatch(r"[a-z0-9+]{1,20}", scheme) else ""
        raise CannotStart(
            f"The database {shown}can't be used: it is sqlite:///path or "
            "postgresql://user:password@host:port/database."
        )
    if not rest.startswith("/") or rest == "/":
        raise CannotStart(f"The database {url!s} names no file: write sqlite:///path.")
    return _file(Path(rest[1:]))


def _file(path: Path) -> SqliteFile:
    return SqliteFile(path.expanduser().absolute())


def _server(url: str) -> PostgresDatabase:
    try:
        parts = urlsplit(url)
        port = parts.port or POSTGRES_PORT
        options = tuple(parse_qsl(parts.query, strict_parsing=True)) if parts.query else ()
    except ValueError:
        raise CannotStart(_ADVICE) from None
    name = unquote(parts.path.removeprefix("/"))
    # A socket's folder can't stand where a host does: it is given as `?host=/run/postgresql`.
    host = dict(options).get("host") or unquote(parts.hostname or "")
    if not host or not name or "/" in name or parts.fragment or _OWN & dict(options).keys():
        raise CannotStart(_ADVICE)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    others = tuple(pair for pair in options if pair[0] != "host")
    return PostgresDatabase(host, port, name, user, password, others)


_ADVICE = (
    "The database's address is not of the form postgresql://user:password@host:port/database; "
    "a password's @, :, /, ? and # are written as %40, %3A, %2F, %3F and %23."
)
