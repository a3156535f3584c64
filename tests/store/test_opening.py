"""A store is opened by many at once, survives kill -9, and says plainly what is wrong with it."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.domain.errors import CannotStart, StoreUnavailable
from app.domain.filters import TaskFilter
from app.store import migrations, sqlite
from app.store.bulk import is_postgres
from app.store.database import FILE_NAME, Database
from app.store.schema import metadata
from app.store.tasks import counts, page
from app.store.writer import Batch, commit
from tests.postgres import PostgresServer
from tests.store.checks import check_texts
from tests.store.samples import sample
from tests.support import ROOT, eventually

OPEN = "import sys; from app.store.database import Database; Database.open(sys.argv[1]).ping()"
WRITE = """
import sys
from app.store.announcements import Announcement
from app.store.database import Database
from app.store.writer import Batch, commit
from tests.store.samples import sample
db = Database.open(sys.argv[1])
for number in range(0, 10**9, 50):
    tasks = [sample(number + i) for i in range(50)]
    commit(db, Batch(tasks=tasks, announcement=Announcement(b"x", str(number), str(number))))
    print(number, flush=True)
"""


def run(code: str, url: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, url], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    )


def test_eight_processes_open_a_new_store_at_once(address: str) -> None:
    started = [run(OPEN, address) for _ in range(8)]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def test_twenty_at_once_open_a_new_postgres_database(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.make_database())
    with ThreadPoolExecutor(20) as threads:
        for opened in threads.map(Database.open, [url] * 20):
            opened.ping()
            opened.close()


def test_a_killed_writer_leaves_a_whole_store(address: str) -> None:
    for round_number in range(2):
        writer = run(WRITE, address)
        assert writer.stdout is not None
        for _ in range(3 + 2 * round_number):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        said = writer.stdout.read().split()
        writer.communicate()
        db = Database.open(address)
        stored = sum(counts(db).values())
        assert stored % 50 == 0
        assert not said or stored >= int(said[-1]) + 50
        with db.writing() as connection:
            if not is_postgres(connection):
                assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
            assert connection.scalar(text("SELECT count(*) FROM tasks")) == stored
            assert connection.scalar(text("SELECT count(*) FROM announcements")) >= stored / 50
        check_texts(db)
        db.close()


def test_readers_and_a_second_writer_work_beside_the_recorder(address: str) -> None:
    writer = run(WRITE, address)
    db = eventually(lambda: Database.open(address))
    try:
        for number in range(10**9, 10**9 + 20):
            commit(db, Batch(tasks=[sample(number)]))
            assert page(db, TaskFilter(), limit=5).tasks
        assert writer.poll() is None
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        db.close()


def test_the_schema_is_what_the_migrations_make_and_head_is_their_newest(db: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD
    with db.reading() as connection:
        there = inspect(connection)
        for table in metadata.tables.values():
            columns = {column["name"]: column for column in there.get_columns(table.name)}
            assert list(columns) == [column.name for column in table.columns]
            for column in table.columns:
                assert columns[column.name]["nullable"] == column.nullable, column
                kind = column.type.compile(connection.dialect)
                found = columns[column.name]["type"].compile(connection.dialect)
                assert found.partition(" COLLATE")[0] == kind, column


def test_the_file_is_made_for_many_readers_and_for_giving_space_back(tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    with db.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA auto_vacuum")) == 2
        assert connection.scalar(text("PRAGMA synchronous")) == 1
    db.close()


@pytest.mark.parametrize("form", ["{0}", "{0}/umbel.db", "sqlite:///{0}/umbel.db"])
def test_a_path_a_folder_and_an_address_open_the_same_file(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "folder"
    Database.open(form.format(folder)).close()
    assert (folder / FILE_NAME).exists()


def refusal(url: str | Path) -> str:
    with pytest.raises(CannotStart) as refused:
        Database.open(url)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "umbel.db"
    path.write_bytes(b"not a database at all" * 500)
    assert str(path) in refusal(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "umbel.db"
    Database.open(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4_000)
    assert str(path) in refusal(path)


def test_a_schema_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "umbel.db"
    Database.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    said = refusal(path)
    assert str(path) in said
    assert "newer" in said


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file" / "folder") in refusal(tmp_path / "file" / "folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h",
        "postgresql://u:secret@h/",
        "postgresql://u:sec/ret@h/db",
        "postgresql://u:secret@h:70000/db",
        "postgresql://u:secret@h/db?secret",
        "mysql://u:secret@h/db",
        "u:secret@h://db",
        "sqlite://",
        "sqlite:///",
        "oops://",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    said = refusal(url)
    assert "secret" not in said
    assert "ret@" not in said


def test_a_store_that_went_away_is_said_to_be_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr(
        sqlite, "_PRAGMAS", tuple(p for p in sqlite._PRAGMAS if "busy_timeout" not in p)
    )
    db = Database.open(tmp_path)
    with db.writing(), pytest.raises(StoreUnavailable) as refused:
        commit(db, Batch(tasks=[sample(1)]))
    assert str(tmp_path) in str(refused.value)
    assert page(db, TaskFilter()).tasks == []
    db.ping()
    db.close()
