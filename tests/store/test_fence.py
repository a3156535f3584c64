"""Who claimed the store last may write; whoever had it before is refused, at any instruction."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.errors import Superseded
from app.store import announcements, audit, fence, retention
from app.store.audit import AuditEntry
from app.store.database import Database
from app.store.tasks import counts
from app.store.writer import Batch, commit
from tests.store.samples import sample
from tests.support import ROOT, eventually

CLAIM = """
import sys
from app.store import fence
from app.store.database import Database
print(fence.claim(Database.open(sys.argv[1]), sys.argv[2]))
"""
WRITES: dict[str, Callable[[Database], object]] = {
    "a batch": lambda db: commit(db, Batch(tasks=[sample(1)])),
    "an empty batch": lambda db: commit(db, Batch()),
    "retention": lambda db: retention.prune(db, time.time()),
    "the outbox": lambda db: announcements.announced(db, 5),
}


def test_tokens_count_up_and_the_last_one_may_write(db: Database) -> None:
    first = db.fenced(fence.claim(db, "a"))
    commit(first, Batch(tasks=[sample(1)]))
    second = db.fenced(fence.claim(db, "b"))
    commit(second, Batch(tasks=[sample(2)]))

    assert (first.token, second.token) == (1, 2)
    assert sum(counts(db).values()) == 2


@pytest.mark.parametrize("what", WRITES)
def test_whoever_was_superseded_can_write_nothing(db: Database, what: str) -> None:
    old = db.fenced(fence.claim(db, "old"))
    WRITES[what](old)
    before = counts(db)
    fence.claim(db, "new one")

    with pytest.raises(Superseded, match="new one"):
        WRITES[what](old)
    assert counts(db) == before


def test_a_token_of_a_store_that_was_exchanged_is_refused(db: Database) -> None:
    with pytest.raises(Superseded, match="nobody"):
        commit(db.fenced(7), Batch(tasks=[sample(1)]))


def test_what_people_asked_for_is_written_whoever_records(db: Database) -> None:
    fence.claim(db, "a")
    entry = AuditEntry(at=1.0, actor="me", address="", action="revoke", target="t")
    assert audit.record(db, entry) == 1


def test_a_claim_cannot_slip_between_check_and_commit(db: Database) -> None:
    old = db.fenced(fence.claim(db, "old"))
    order: list[str] = []

    def claim() -> None:
        fence.claim(db, "new")
        order.append("claimed")

    with old.writing():
        claiming = threading.Thread(target=claim)
        claiming.start()
        claiming.join(0.3)
        order.append("committed")
    claiming.join(30)

    assert order == ["committed", "claimed"]


def test_of_many_who_claim_at_once_each_gets_a_token_of_its_own(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([*command, f"r{number}"], cwd=ROOT, stdout=pipe, text=True)
        for number in range(6)
    ]
    tokens = [int(process.communicate(timeout=60)[0]) for process in started]
    assert sorted(tokens) == [1, 2, 3, 4, 5, 6]


def test_a_writer_that_is_paused_before_its_commit_finds_itself_superseded(tmp_path: Path) -> None:
    """What SIGSTOP between two transactions looks like to the store."""
    code = (
        "import sys\n"
        "from app.domain.errors import Superseded\n"
        "from app.store import fence\n"
        "from app.store.database import Database\n"
        "from app.store.writer import Batch, commit\n"
        "from tests.store.samples import sample\n"
        "db = Database.open(sys.argv[1])\n"
        "mine = db.fenced(fence.claim(db, 'child'))\n"
        "for number in range(10**9):\n"
        "    try:\n"
        "        commit(mine, Batch(tasks=[sample(number)]))\n"
        "    except Superseded as error:\n"
        "        print('superseded after', number, flush=True)\n"
        "        break\n"
        "    print(number, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    db = eventually(lambda: Database.open(tmp_path))
    try:
        fence.claim(db, "parent")
        written = sum(counts(db).values())
        said = child.communicate(timeout=60)[0].split()
        assert said[-3:] == ["superseded", "after", str(written)]
        assert sum(counts(db).values()) == written
    finally:
        child.kill()
        child.communicate()
        db.close()
