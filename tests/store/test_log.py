"""SQLite's write-ahead log is carried over beside the writing, as often as there is need."""

from pathlib import Path

from app.store.database import Database
from app.store.sqlite import CHECKPOINT_SECONDS, Log
from app.store.writer import Batch, commit
from tests.store.samples import sample

LEAST, MOST = CHECKPOINT_SECONDS


def write(db: Database, first: int) -> None:
    long = "[" + "1," * 400_000 + "1]"
    commit(db, Batch(tasks=[sample(number, args=long) for number in range(first, first + 60)]))


def test_a_commit_leaves_a_long_log_alone_and_tending_empties_it(tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    file, log = tmp_path / "umbel.db", tmp_path / "umbel.db-wal"
    write(db, 0)
    assert log.stat().st_size > 40_000_000 > file.stat().st_size
    assert db.tend() is not None
    assert file.stat().st_size > 40_000_000
    long = log.stat().st_size
    write(db, 100)
    assert log.stat().st_size < long * 1.1
    db.close()


def test_the_more_is_written_the_sooner_it_is_carried_over(tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    log = Log(tmp_path / "umbel.db")
    quiet = [log.carry_over() for _ in range(20)]
    assert quiet[0] < quiet[1] < quiet[-1] == MOST
    write(db, 0)
    assert LEAST < log.carry_over() < MOST
    db.close()


def test_another_database_than_sqlite_is_not_tended(db: Database) -> None:
    again = db.tend()
    assert (again is None) == (db.engine.dialect.name == "postgresql")
