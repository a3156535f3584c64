"""`umbel move-history` in a shell: what it says, and with which status it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import exits
from app.store.database import Database
from app.store.tasks import counts
from app.store.writer import Batch, commit
from tests.postgres import refused_port
from tests.store.samples import sample
from tests.support import ROOT


def move(source: object, target: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app.cli", "move-history", str(source), str(target)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    db = Database.open(path)
    commit(db, Batch(tasks=[sample(number) for number in range(20)]))
    db.close()
    return path


def test_a_history_is_moved_once_however_often_it_is_asked_for(
    source: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        done = move(source, tmp_path / "new.db")
        assert done.returncode == exits.OK, done.stderr
        assert "20 tasks" in done.stderr
    db = Database.open(tmp_path / "new.db")
    assert sum(counts(db).values()) == 20
    db.close()


def test_what_cannot_be_moved_is_said_with_a_status_of_its_own(
    source: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.db"
    away = f"postgresql://umbel:secret@127.0.0.1:{refused_port()}/umbel"
    for asked, status, why in (
        (move(absent, source), exits.USAGE, "does not exist"),
        (move(source, source), exits.USAGE, "same store"),
        (move(source, "mysql://u:secret@h/d"), exits.USAGE, "can't be used"),
        (move(source, away), exits.UNREACHABLE, "refused"),
    ):
        assert (asked.returncode, asked.stdout) == (status, "")
        assert why in asked.stderr
        assert "secret" not in asked.stderr
    assert not absent.exists()


def test_a_history_is_not_mixed_with_another(source: Path, tmp_path: Path) -> None:
    other = Database.open(tmp_path / "other.db")
    commit(other, Batch(tasks=[sample(99)]))
    other.close()
    refused = move(source, tmp_path / "other.db")
    assert refused.returncode == exits.FAILED
    assert "history of its own" in refused.stderr
