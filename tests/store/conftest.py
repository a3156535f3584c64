"""A store of its own for each test: a copy of an empty one, which is faster than migrating."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from app.store.database import FILE_NAME, Database


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Database]]:
    """Opens an empty store, a new one at each call; closed at the end of all."""
    template = tmp_path_factory.mktemp("template") / FILE_NAME
    Database.open(template).close()
    opened: list[Database] = []

    def open_one() -> Database:
        path = tmp_path_factory.mktemp("store") / FILE_NAME
        shutil.copy(template, path)
        opened.append(Database.open(path))
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
