"""PostgreSQL killed, frozen or restarted: said plainly, waited for, and nothing written twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.domain.errors import CannotStart, StoreUnavailable
from app.domain.filters import TaskFilter
from app.store import figures, postgres
from app.store.database import Database
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.tasks import counts, page
from app.store.writer import Batch, commit
from tests.postgres import PostgresServer, refused_port
from tests.store.checks import all_pages
from tests.store.samples import NOON, sample
from tests.support import ROOT, eventually

HOLD = """
import sys, time
from app.store.database import Database
db = Database.open(sys.argv[1])
with db.writing():
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that a test may break."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


def tallied(number: int) -> Batch:
    tally = Tally()
    tally.add(runtime=1.0)
    key = TallyKey(minute_of(NOON), "add", sample(number).state)
    return Batch(tasks=[sample(number)], tallies={key: tally})


def counted(db: Database) -> tuple[int, int]:
    return sum(counts(db).values()), figures.total(db, 0, NOON + 99).count


def test_a_server_killed_under_load_loses_and_doubles_nothing(server: PostgresServer) -> None:
    db = Database.open(server.url(server.make_database()))
    written, stopping, refused = [], threading.Event(), []

    def write() -> None:
        number, batch = 0, tallied(0)
        while not stopping.is_set():
            try:
                commit(db, batch)
            except StoreUnavailable as error:
                refused.append(str(error))
                time.sleep(0.05)
            else:
                number += 1
                written.append(number)
                batch = tallied(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            reached = len(written) + 20
            eventually(lambda least=reached: len(written) >= least)  # type: ignore[misc]
            server.kill()
            server.start()
        reached = len(written) + 20
        eventually(lambda: len(written) >= reached)
    finally:
        stopping.set()
        writer.join()
    assert counted(db) == (len(written), len(written))
    assert refused
    assert not any("secret" in sentence or "\n" in sentence for sentence in refused)
    db.close()


def test_a_commit_whose_answer_was_lost_is_not_made_again(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database.open(server.url(server.make_database()))
    batch = tallied(1)
    do_commit = db.engine.dialect.do_commit

    def cut(connection: object) -> None:
        do_commit(connection)  # type: ignore[arg-type]
        raise postgres._Unanswered("cut")

    with monkeypatch.context() as patch:
        patch.setattr(db.engine.dialect, "do_commit", cut)
        with pytest.raises(StoreUnavailable):
            commit(db, batch)
    commit(db, batch)
    assert counted(db) == (1, 1)
    db.close()


def test_a_frozen_server_is_given_up_and_found_again(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres._Patient, "patience", 0.5)
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2)
    db = Database.open(server.url(server.make_database()))
    commit(db, tallied(1))
    server.freeze()
    with pytest.raises(StoreUnavailable, match=r"no answer|timeout"):
        commit(db, tallied(2))
    server.thaw()
    eventually(lambda: works(db))
    db.close()


def works(db: Database) -> bool:
    try:
        db.ping()
    except StoreUnavailable:
        return False
    return True


def test_a_process_frozen_while_it_writes_keeps_no_other_from_it(server: PostgresServer) -> None:
    url = server.url(server.make_database())
    db = Database.open(url)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, url], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        commit(db, tallied(1))
        assert counted(db) == (1, 1)
    finally:
        holder.kill()
        holder.communicate()
        db.close()


def test_a_store_that_is_not_there_yet_is_opened_at_its_first_use(server: PostgresServer) -> None:
    url = server.url(server.make_database())
    server.kill()
    db = Database.at(url)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="refused"):
            db.ping()
    server.start()
    db.ping()
    assert page(db, TaskFilter()).tasks == []
    db.close()


@pytest.mark.parametrize("wrong", ["port", "password", "database"])
def test_why_a_server_cannot_be_used_is_said_in_a_sentence_without_the_password(
    postgres_server: PostgresServer, wrong: str
) -> None:
    url = {
        "port": f"postgresql://umbel:secret@127.0.0.1:{refused_port()}/postgres",
        "password": postgres_server.url().replace("secret", "secreter"),
        "database": postgres_server.url("no-such"),
    }[wrong]
    with pytest.raises(StoreUnavailable) as refused:
        Database.open(url)
    said = str(refused.value)
    assert "secret" not in said
    assert "\n" not in said
    assert said.startswith("The database ")
    expected = {"port": "refused", "password": "password authentication", "database": "not exist"}
    assert expected[wrong] in said


def test_a_database_that_keeps_no_utf8_is_refused(postgres_server: PostgresServer) -> None:
    with postgres_server.connect() as connection:
        connection.execute(
            "CREATE DATABASE latin ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )
    with pytest.raises(CannotStart, match="UTF8"):
        Database.open(postgres_server.url("latin"))


def test_words_are_found_without_the_index_too(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.make_database())
    with_index = Database.open(url)
    commit(with_index, Batch(tasks=[sample(number) for number in range(300)]))
    wanted = TaskFilter(text="alice 東京")
    found = [all_pages(with_index, TaskFilter(text=word)) for word in ("alice", "東京タワー")]
    with with_index.writing() as connection:
        connection.execute(text("DROP INDEX IF EXISTS task_texts_trigrams"))
    without = Database.open(url)
    assert [all_pages(without, TaskFilter(text=word)) for word in ("alice", "東京タワー")] == found
    assert found[0]
    assert all_pages(without, wanted) == all_pages(with_index, wanted)
    for db in (with_index, without):
        db.close()
