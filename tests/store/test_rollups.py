"""Figures add up to what ended: over levels, corrections, a full journal, many labels, old rows."""

import random
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text

from app.domain.sketch import ACCURACY
from app.domain.tasks import TaskState
from app.store import figures, rollup_journal
from app.store.database import Database, _migrate
from app.store.figures import OTHER_LABELS
from app.store.labels import Kind
from app.store.rollup_rows import LEVELS
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.schema import rollup_journal as journal
from app.store.writer import Batch, commit
from tests.store.samples import NOON

DAY = 86_400
HOUR = 3_600
MIDNIGHT = NOON // DAY * DAY
OK, BAD = TaskState.SUCCESS, TaskState.FAILURE


def one(runtime: float, wait: float = 0.5) -> Tally:
    made = Tally()
    made.add(runtime, wait, whole=True)
    return made


def fold(db: Database) -> None:
    with db.writing() as connection:
        rollup_journal.fold(connection)


def entries(db: Database) -> int:
    with db.reading() as connection:
        return connection.scalar(select(func.count()).select_from(journal)) or 0


@pytest.fixture
def told(db: Database) -> list[tuple[float, str, str, str, float]]:
    """Tasks of two days and a bit, half of them in the rows and the others in the journal."""
    chance = random.Random(4)
    many = [
        (
            MIDNIGHT + chance.random() * 2.2 * DAY,
            chance.choice(("add", "mail")),
            chance.choice(("q1", "q2")),
            chance.choice(("w1", "w2", "w3")),
            chance.lognormvariate(-2, 1),
        )
        for _ in range(400)
    ]
    for place, (at, name, queue, worker, runtime) in enumerate(many):
        key = TallyKey(minute_of(at), name, OK, queue, worker)
        commit(db, Batch(tallies={key: one(runtime)}))
        if place == len(many) // 2:
            fold(db)
    return many


def test_each_range_counts_what_ended_in_it_and_no_more(
    db: Database, told: list[tuple[float, str, str, str, float]]
) -> None:
    assert 0 < entries(db) < len(told)
    for since, until, step in (
        (MIDNIGHT + 60, MIDNIGHT + 2 * DAY - 60, 60),
        (MIDNIGHT + DAY - 600, MIDNIGHT + DAY + 1_200, 600),
        (MIDNIGHT + 5 * HOUR, MIDNIGHT + 2 * DAY + HOUR, HOUR),
        (MIDNIGHT + 5 * HOUR, MIDNIGHT + 6 * HOUR, 5 * 60),
        (MIDNIGHT, MIDNIGHT + 3 * DAY, DAY),
        (0, 1e30, DAY),
    ):
        inside = sorted(each for each in told if since <= each[0] < until)
        series = figures.series(db, since, until, step)
        total = figures.total(db, since, until, step)
        assert sum(each.count for each in series.values()) == total.count == len(inside)
        assert total.whole == total.wait.count == len(inside)
        for kind, place in ((Kind.NAME, 1), (Kind.QUEUE, 2), (Kind.WORKER, 3)):
            found = figures.by_label(db, kind, since, until, step)
            for label in {str(each[place]) for each in inside}:
                exact = sorted(each[4] for each in inside if each[place] == label)
                parts = (0.5, 0.95, 1)
                wanted = [exact[int(part * (len(exact) - 1))] for part in parts]
                assert found[label].run.quantiles(*parts) == pytest.approx(wanted, rel=ACCURACY)
                alone = figures.series(db, since, until, step, (kind, label))
                assert sum(each.count for each in alone.values()) == len(exact)


def test_a_task_that_ended_otherwise_is_taken_back_everywhere(db: Database) -> None:
    wrong = TallyKey(minute_of(NOON), "add", TaskState.LOST, "q", "w")
    right = TallyKey(minute_of(NOON) + 7_200, "add", OK, "q", "w")
    commit(db, Batch(tallies={wrong: one(9.0), right: one(1.0)}))
    fold(db)
    back = Tally()
    back.take_back(9.0, 0.5, whole=True)
    commit(db, Batch(tallies={wrong: back, right: one(3.0)}))
    for _ in range(2):
        for level in LEVELS:
            ended = figures.total(db, 0, 1e30, level.step)
            assert (ended.count, ended.failed, ended.whole) == (2, 0, 2)
            assert ended.run.quantiles(0, 1) == pytest.approx([1.0, 3.0], rel=ACCURACY)
            assert (ended.run.mean, ended.wait.count) == (2.0, 2)
        assert len(figures.series(db, 0, 1e30)) == 1
        fold(db)


def test_a_full_journal_is_added_to_the_rows_and_changes_no_figure(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.rollup_journal.ROWS", 5)
    monkeypatch.setattr("app.store.rollup_journal.ENTRIES", 12)
    key = TallyKey(minute_of(NOON), "add", OK, "q", "w")
    for number in range(1, 12):
        commit(db, Batch(tallies={key: one(1.0)}))
        assert entries(db) == number % 5
        assert figures.total(db, NOON - 60, NOON + 60).count == number
    many = {TallyKey(minute_of(NOON), f"n{number}", OK): one(1.0) for number in range(12)}
    commit(db, Batch(tallies=many))
    assert entries(db) == 0
    assert figures.total(db, NOON - 60, NOON + 60).count == 23


def test_labels_beyond_those_that_are_followed_are_told_as_one(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rollup_journal.FOLLOWED, Kind.WORKER, 3)
    for number in range(6):
        key = TallyKey(minute_of(NOON), "add", OK, "q", f"w{number}")
        busy = Tally()
        for _ in range(number + 1):
            busy.add(1.0)
        commit(db, Batch(tallies={key: busy}))
    fold(db)
    late = {TallyKey(minute_of(NOON), "add", BAD, "q", f"w{number}"): one(1.0) for number in (5, 0)}
    commit(db, Batch(tallies=late))
    fold(db)
    found = figures.by_label(db, Kind.WORKER, NOON - 60, NOON + 60)
    assert {label: ended.count for label, ended in found.items()} == {
        "w5": 7,
        "w4": 5,
        "w3": 4,
        OTHER_LABELS: 7,
    }
    others = figures.series(db, NOON - 60, NOON + 60, 60, (Kind.WORKER, OTHER_LABELS))
    assert [ended.failed for ended in others.values()] == [1]


def test_what_minutes_had_before_is_carried_over(fresh: Callable[[], Database]) -> None:
    db = fresh()
    minute = minute_of(NOON)
    with db.writing() as connection:
        for table in ("rollups", "rollup_journal", "markers", "saved_views"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("ALTER TABLE queue_minutes DROP COLUMN oldest"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
        connection.execute(
            text(
                "CREATE TABLE rollups (minute BIGINT, name_id INTEGER, state SMALLINT,"
                " count BIGINT, runtimes BIGINT, runtime_sum DOUBLE PRECISION, runtime_max"
                " DOUBLE PRECISION, waits BIGINT, wait_sum DOUBLE PRECISION, wait_max"
                " DOUBLE PRECISION, whole BIGINT, PRIMARY KEY (minute, name_id, state))"
            )
        )
        connection.execute(text("INSERT INTO labels (kind, value) VALUES (1, 'add')"))
        number = connection.scalar(text("SELECT id FROM labels WHERE value = 'add'"))
        for at, name, state, count in (
            (minute, number, 5, 4),
            (minute + 7_200, number, 6, 1),
            (minute, 0, 5, 2),
            (32_503_680_000, 0, 5, 1),
        ):
            row = f"({at}, {name}, {state}, {count}, {count}, {count * 1.5}, 2, 0, 0, 0, 1)"
            connection.execute(text(f"INSERT INTO rollups VALUES {row}"))
    with db.writing() as connection:
        _migrate(connection, db._door)
    ended = figures.total(db, 0, minute + DAY, DAY)
    assert (ended.counts, ended.whole) == ({OK: 6, BAD: 1}, 3)
    assert (ended.run.mean, ended.run.quantiles(0.5)) == (1.5, [None])
    assert figures.by_label(db, Kind.NAME, minute, minute + 60)["add"].counts == {OK: 4}
    assert len(figures.series(db, minute, minute + DAY)) == 2
    # It goes on there, also where an old end turns out to be wrong.
    back = Tally()
    back.take_back(1.5)
    commit(db, Batch(tallies={TallyKey(minute, "add", OK): back}))
    fold(db)
    commit(db, Batch(tallies={TallyKey(minute, "add", OK): one(2.0)}))
    found = figures.by_label(db, Kind.NAME, minute, minute + 60)["add"]
    assert (found.count, found.run.count) == (4, 4)
    assert found.run.quantiles(0.5) == pytest.approx([2.0], rel=ACCURACY)
