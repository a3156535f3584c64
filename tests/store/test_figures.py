"""Figures by the minute, counts by state, and what retention takes away of all of it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text

from app.domain.filters import TaskFilter
from app.domain.queues import Queue
from app.domain.sketch import ACCURACY
from app.domain.tasks import TaskState
from app.domain.workers import Worker
from app.store import blind_windows, figures, queues, workers
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.labels import Kind
from app.store.retention import prune
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.schema import labels, task_values
from app.store.tasks import counts, names, page
from app.store.writer import Batch, commit
from tests.store.checks import check_texts, words_left
from tests.store.samples import NOON, sample

MINUTE = minute_of(NOON)
OK, BAD = TaskState.SUCCESS, TaskState.FAILURE


def tally(*runtimes: float, wait: float | None = None) -> Tally:
    made = Tally()
    for runtime in runtimes:
        made.add(runtime=runtime, wait=wait)
    return made


def test_tallies_of_one_minute_add_up(db: Database) -> None:
    key = TallyKey(MINUTE, "add", OK)
    commit(db, Batch(tallies={key: tally(1.0, 3.0, wait=0.5)}))
    commit(db, Batch(tallies={key: tally(2.0)}))
    [(at, ended)] = figures.series(db, MINUTE, MINUTE + 60).items()
    assert (at, ended.counts) == (MINUTE, {OK: 3})
    assert (ended.run.count, ended.run.mean) == (3, 2.0)
    assert (ended.wait.count, ended.wait.mean) == (2, 0.5)
    assert ended.run.quantiles(0, 0.5, 1) == pytest.approx([1, 2, 3], rel=ACCURACY)


def test_a_series_has_steps_names_and_states(db: Database) -> None:
    keys = [TallyKey(MINUTE + 60 * n, name, OK) for n in range(10) for name in ("add", None)]
    commit(db, Batch(tallies={key: tally(1.0) for key in keys}))
    commit(db, Batch(tallies={TallyKey(MINUTE, "add", BAD): tally(9.0)}))
    first = MINUTE - MINUTE % 300
    found = figures.series(db, MINUTE, first + 540, step=300)
    assert {at % 300 for at in found} == {0}
    both = figures.series(db, MINUTE, first + 540, step=300, of=(Kind.NAME, "add"))
    assert sum(each.count for each in found.values()) == 2 * (600 - MINUTE % 300) // 60 + 1
    assert sum(each.failed for each in both.values()) == 1
    by_name = figures.by_label(db, Kind.NAME, MINUTE, MINUTE + 60)
    assert by_name["add"].counts == {OK: 1, BAD: 1}
    assert by_name["add"].failure_rate == 0.5
    assert by_name["add"].run.quantiles(1) == pytest.approx([9.0], rel=ACCURACY)
    assert by_name[None].count == 1


def test_labels_whose_texts_are_gone_are_told_together(db: Database) -> None:
    keys = [TallyKey(MINUTE, name, OK) for name in ("add", "mail", "kept", None)]
    commit(db, Batch(tallies={key: tally(1.0) for key in keys}))
    with db.writing() as connection:
        connection.execute(delete(labels).where(labels.c.value.in_(["add", "mail"])))
    found = figures.by_label(db, Kind.NAME, MINUTE, MINUTE + 60)
    assert {name: ended.count for name, ended in found.items()} == {None: 3, "kept": 1}


def test_a_minute_centuries_off_is_stored(db: Database) -> None:
    commit(db, Batch(tallies={TallyKey(10**40, "add", OK): tally(1.0)}))
    commit(db, Batch(tallies={TallyKey(-(10**40), "add", OK): tally(1.0)}))
    assert len(figures.series(db, 0, 1e30)) == 2


def test_counts_follow_every_change_of_state(db: Database) -> None:
    assert counts(db) == dict.fromkeys(TaskState, 0)
    many = [sample(number, state=TaskState.PENDING) for number in range(20)]
    commit(db, Batch(tasks=many))
    commit(db, Batch(tasks=[replace(task, state=OK) for task in many[:15]]))
    assert counts(db) == {**dict.fromkeys(TaskState, 0), TaskState.PENDING: 5, OK: 15}


def test_retention_takes_the_oldest_first_and_leaves_no_trace(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [sample(number, args='["' + "x" * 9_000 + '"]') for number in range(100)]
    many += [sample(number, name="kept", queue="kept", worker="kept") for number in range(100, 110)]
    commit(db, Batch(tasks=many))
    before = many[100].seen_at
    assert prune(db, before, 30) == 30
    assert {task.id for task in page(db, TaskFilter(), limit=500).tasks} == {
        task.id for task in many[30:]
    }
    while prune(db, before, 30):
        pass
    assert len(page(db, TaskFilter(), limit=500).tasks) == sum(counts(db).values()) == 10
    assert page(db, TaskFilter(text="alice")).tasks == [
        task
        for task in page(db, TaskFilter()).tasks
        if "alice" in f"{task.args}{task.kwargs_repr}{task.result}"
    ]
    # Labels are looked through from a random place on: here from the first.
    monkeypatch.setattr("app.store.retention.randrange", lambda _: 0)
    prune(db, before, 30)
    assert names(db) == ["kept"]
    with db.writing() as connection:
        assert connection.scalar(select(func.count()).select_from(task_values)) == 0
        assert connection.scalar(select(func.count()).select_from(labels)) == 3
    check_texts(db)


def test_an_emptied_text_index_holds_no_words(db: Database) -> None:
    commit(db, Batch(tasks=[sample(number) for number in range(300)]))
    commit(db, Batch(tasks=[sample(number, result='"other"') for number in range(300)]))
    while prune(db, NOON + 9_999):
        pass
    assert words_left(db) == 0


def test_retention_ends_with_the_figures_of_that_time(db: Database) -> None:
    for age in range(0, 600, 60):
        at = NOON - age
        commit(
            db,
            Batch(
                tallies={TallyKey(minute_of(at), "add", OK): tally(1.0)},
                queues=[Queue(name=f"q{age}", measured_at=at)],
                workers=[Worker(name=f"w{age}", heard_at=at, catalog=((f"t{age}", None),))],
                blind_windows=[BlindWindow(began_at=at, cause="start")],
            ),
        )
    while prune(db, NOON - 300, 2):
        pass
    assert figures.total(db, 0, NOON + 60, step=86_400).count == 10
    assert len(queues.list_all(db)) == 6
    assert len(workers.list_all(db)) == 6
    assert len(blind_windows.latest(db)) == 6
    with db.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM catalogs")) == 6


@pytest.mark.parametrize("limit", [2, 500])
def test_the_finer_figures_are_the_sooner_they_go(db: Database, limit: int) -> None:
    now = time.time()
    for age in (0, 8 * 3_600, 2 * 86_400, 40 * 86_400):
        commit(db, Batch(tallies={TallyKey(minute_of(now - age), "add", OK): tally(1.0)}))
    while prune(db, now - 50 * 86_400, limit):
        pass
    kept = [figures.series(db, 0, now + 60, step) for step in (60, 600, 3_600, 86_400)]
    assert [len(each) for each in kept] == [1, 2, 3, 4]
    while prune(db, now - 3 * 86_400, limit):
        pass
    assert len(figures.series(db, 0, now + 60, 86_400)) == 3


@pytest.mark.parametrize("limit", [1, 500])
def test_retention_of_an_empty_store_ends_at_once(db: Database, limit: int) -> None:
    assert prune(db, NOON, limit) == 0


def test_space_is_given_back_once_most_of_the_file_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database.open(tmp_path)
    monkeypatch.setattr("app.store.sqlite.SPARE_PAGES", 10)

    def pages() -> int:
        with db.reading() as connection:
            return int(connection.scalar(text("PRAGMA page_count")) or 0)

    long = "[" + "1," * 400_000 + "1]"
    commit(db, Batch(tasks=[sample(number, args=long) for number in range(12)]))
    full = pages()
    for _ in range(30):
        prune(db, NOON + 9_999)
    assert pages() < full / 2
    db.close()
