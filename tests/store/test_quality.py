"""Figures of what is known: whole stories, tasks given up and why, blind windows by cause."""

from collections.abc import Callable

from app.domain.tasks import TaskState, Transition
from app.store import blind_windows, lost, stories
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch, commit
from tests.store.samples import NOON, sample

OK, LOST = TaskState.SUCCESS, TaskState.LOST


def tally(*whole: bool) -> Tally:
    made = Tally()
    for each in whole:
        made.add(whole=each)
    return made


def test_stories_are_counted_since_a_moment(db: Database) -> None:
    now, before = minute_of(NOON), minute_of(NOON) - 3_600
    commit(
        db,
        Batch(
            tallies={
                TallyKey(now, "add", OK): tally(True, True, False),
                TallyKey(now, "mail", LOST): tally(False),
                TallyKey(before, "add", OK): tally(False, False),
            }
        ),
    )

    found = stories.count(db, NOON)

    assert (found.ended, found.whole, found.lost, found.share) == (4, 2, 1, 0.5)
    assert stories.count(db, before).ended == 6


def test_where_nothing_ended_there_is_no_share(db: Database) -> None:
    assert stories.count(db, NOON).share is None


def given_up(number: int, reason: str | None, at: float = NOON, state: TaskState = LOST):
    steps = [Transition(TaskState.STARTED, at - 1), Transition(LOST, at, None, 0, reason)]
    return sample(number, state=state, transitions=steps)


def test_reasons_are_told_of_lost_tasks_alone(db: Database) -> None:
    many = [given_up(1, "its worker died"), given_up(2, None), given_up(3, "gone", state=OK)]
    commit(db, Batch(tasks=many))

    assert lost.reasons(db, [task.id for task in many]) == {many[0].id: "its worker died"}
    assert lost.reasons(db, []) == {}


def test_reasons_are_counted_since_a_moment(db: Database) -> None:
    many = [given_up(number, "its worker died") for number in range(3)]
    many += [given_up(4, None), given_up(5, "long ago", NOON - 9_000)]
    commit(db, Batch(tasks=many))

    assert lost.tally(db, NOON - 60) == {"its worker died": 3, lost.NOT_KNOWN: 1}
    assert lost.tally(db, NOON - 60, limit=1) == {}


def test_windows_are_counted_by_cause(fresh: Callable[[], Database]) -> None:
    db = fresh()
    windows = [BlindWindow(began_at=NOON + n, ended_at=NOON + n, cause="started") for n in range(3)]
    healed = BlindWindow(began_at=NOON, cause="trimmed", healed_at=NOON + 9)
    commit(db, Batch(blind_windows=[*windows, healed]))

    assert blind_windows.by_cause(db) == {"started": (3, 3), "trimmed": (1, 0)}


def test_windows_that_are_left_to_heal_are_found_however_many_came_after(db: Database) -> None:
    left = BlindWindow(began_at=1.0, ended_at=2.0, cause="dropped", source="w|1|a")
    healed = [
        BlindWindow(began_at=at, ended_at=at + 1, healed_at=at + 2, cause="started")
        for at in (float(number) for number in range(3, 153))
    ]
    lasting = BlindWindow(began_at=200.0, cause="disconnected")
    commit(db, Batch(blind_windows=[left, *healed, lasting]))
    assert [(each.began_at, each.source) for each in blind_windows.unhealed(db)] == [(1.0, "w|1|a")]
