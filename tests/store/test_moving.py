"""A history is moved whole, from any dialect to the other, and goes on where it stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.domain.errors import BadInput, Conflict, Superseded
from app.domain.filters import TaskFilter
from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState, Transition
from app.domain.workers import Worker
from app.store import (
    announcements,
    audit,
    blind_windows,
    fence,
    figures,
    positions,
    queues,
    rollup_journal,
    workers,
)
from app.store.announcements import Announcement
from app.store.audit import AuditEntry
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.labels import Kind
from app.store.moving import TABLES, Move, Progress
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.schema import fence as fence_table
from app.store.schema import positions as positions_table
from app.store.tasks import counts, get_many, names
from app.store.writer import Batch, commit
from tests.store.checks import all_pages, check_texts
from tests.store.samples import NOON, sample

STORY = [
    Transition(TaskState.STARTED, NOON, "w", 0),
    Transition(TaskState.SUCCESS, NOON + 1, "w", 0),
]


def quiet(_: Progress) -> None:
    """Says nothing."""


def fill(db: Database) -> list[Task]:
    many = [sample(number, transitions=STORY) for number in range(700)]
    many += [sample(number, args='["' + "東x" * 9_000 + '"]') for number in range(700, 730)]
    for at in range(0, len(many), 200):
        commit(db, Batch(tasks=many[at : at + 200]))
    tally = Tally()
    tally.add(runtime=1.5, wait=0.5, whole=True)
    key = TallyKey(minute_of(NOON), "add", TaskState.SUCCESS, "q", "w")
    commit(db, Batch(tallies={key: tally}))
    with db.writing() as connection:
        rollup_journal.fold(connection)
    commit(
        db,
        Batch(
            tallies={key: tally},
            workers=[Worker(name="w", heard_at=NOON, catalog=(("add", None),))],
            queues=[Queue(name="q", measured_at=NOON, depths=((0, 3),))],
            blind_windows=[BlindWindow(began_at=NOON, cause="start", note='it \\ "was"')],
            positions={"umbel:events": "1-0"},
            announcement=Announcement(b"\0\xff", "1-0", "1-0"),
        ),
    )
    audit.record(db, AuditEntry(at=NOON, actor="ann", action="revoke", target=many[0].id))
    return many


def rows_of(db: Database) -> dict[str, list[Any]]:
    with db.reading() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in TABLES
        }
    own = positions_table.name
    found[own] = [row for row in found[own] if row[0] != "move-history"]
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


@pytest.fixture
def other(db: Database, tmp_path: Path, postgres_server: Any) -> Callable[[], Database]:
    """Opens an empty store of the other dialect."""
    if db.engine.dialect.name == "postgresql":
        return lambda: Database.open(tmp_path / "other.db")
    return lambda: Database.open(postgres_server.url(postgres_server.make_database()))


def test_a_moved_history_is_the_same_in_every_row_and_answer(
    db: Database, other: Callable[[], Database]
) -> None:
    many = fill(db)
    target = other()
    moved = Move(db, target, quiet).run()
    assert moved.tasks == len(many)
    assert rows_of(target) == rows_of(db)
    ids = [task.id for task in many]
    assert get_many(target, ids) == {task.id: task for task in many}
    assert counts(target) == counts(db)
    for wanted in (
        TaskFilter(text="alice"),
        TaskFilter(text="東京"),
        TaskFilter(names=("shop.*",)),
    ):
        assert all_pages(target, wanted) == all_pages(db, wanted)
    for read in (workers.list_all, queues.list_all, announcements.pending, blind_windows.latest):
        assert read(target) == read(db)
    assert audit.entries(target) == audit.entries(db)
    for kind in Kind:
        found = figures.by_label(target, kind, 0, NOON + 99)
        assert found
        assert found == figures.by_label(db, kind, 0, NOON + 99)
    assert positions.get(target, "umbel:events") == "1-0"
    check_texts(target)
    # It goes on there with numbers of its own.
    commit(target, Batch(tasks=[sample(5_000, name="new", queue="new")]))
    audit.record(target, AuditEntry(at=NOON, actor="bob", action="revoke"))
    assert "new" in names(target)
    target.close()


def test_a_move_that_was_cut_goes_on_and_ends_the_same(
    db: Database, other: Callable[[], Database]
) -> None:
    fill(db)
    target = other()

    class Cut(Exception):
        pass

    def cut(progress: Progress) -> None:
        if progress.tasks > cuts[-1]:
            raise Cut

    cuts = [600, 100]
    while cuts:
        with pytest.raises(Cut):
            Move(db, target, cut).run()
        cuts.pop()
    Move(db, target, quiet).run()
    assert rows_of(target) == rows_of(db)
    before = rows_of(target)
    assert Move(db, target, quiet).run().table == ""
    assert rows_of(target) == before
    target.close()


def test_a_target_with_a_history_is_refused(db: Database, other: Callable[[], Database]) -> None:
    fill(db)
    target = other()
    commit(target, Batch(workers=[Worker(name="w")]))
    with pytest.raises(Conflict, match="history of its own"):
        Move(db, target, quiet).run()
    assert counts(target) == dict.fromkeys(TaskState, 0)
    target.close()


def test_a_store_is_not_moved_into_itself(db: Database) -> None:
    with pytest.raises(BadInput):
        Move(db, db, quiet).run()


def test_a_recorder_that_takes_the_source_ends_the_move(
    db: Database, other: Callable[[], Database]
) -> None:
    fill(db)
    target = other()
    with pytest.raises(Conflict, match="written by a recorder"):
        Move(db, target, lambda _: fence.claim(db, "a recorder") and None).run()
    target.close()


def test_a_recorder_that_was_at_work_is_superseded(
    db: Database, other: Callable[[], Database]
) -> None:
    fill(db)
    recorder = db.fenced(fence.claim(db, "a recorder"))
    target = other()
    Move(db, target, quiet).run()
    with pytest.raises(Superseded):
        commit(recorder, Batch(workers=[Worker(name="w")]))
    with target.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(fence_table)) == 1
    target.close()
