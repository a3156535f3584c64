"""A store of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.database import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = Database.open(tmp_path / "store")
    yield database
    database.close()
