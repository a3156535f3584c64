"""A store of its own for each test, in either dialect: a copy of an empty one, which is faster
than migrating."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.store.database import FILE_NAME, Database
from tests.postgres import PostgresServer

DIALECTS = ("sqlite", "postgres")


@pytest.fixture(scope="session", params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Which database: every test that has a store in it runs with both."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def empty(
    dialect: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes an empty store, a new one at each call; the answer is its URL."""
    if dialect == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        name = server.make_database()
        Database.open(server.url(name)).close()
        return lambda: server.url(server.make_database(name))
    template = tmp_path_factory.mktemp("template") / FILE_NAME
    Database.open(template).close()

    def copy() -> str:
        path: Path = tmp_path_factory.mktemp("store") / FILE_NAME
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    return copy


@pytest.fixture(scope="session")
def fresh(empty: Callable[[], str]) -> Iterator[Callable[[], Database]]:
    """Opens an empty store, a new one at each call; closed at the end of all."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database.open(empty()))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def db(fresh: Callable[[], Database]) -> Iterator[Database]:
    """An empty store."""
    database = fresh()
    yield database
    database.close()


@pytest.fixture
def address(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that nobody has opened yet."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / FILE_NAME}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.make_database())
