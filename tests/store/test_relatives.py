"""Tasks that belong to one task: found along indexes, or among those beside it."""

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.tasks import Task, TaskState, seq_of
from app.store.database import Database
from app.store.relatives import COUNTED, NEARBY, SHOWN, SIBLINGS, relatives_of
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch, commit
from app.web.usual import ENOUGH, UNKNOWN, Usual, read_usual
from tests.store.samples import NOON


def task(task_id: str, number: float, **changes: object) -> Task:
    found = Task(id=task_id, seq=seq_of(NOON + number), name="shop.mail", state=TaskState.SUCCESS)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def ids(found: tuple[Task, ...]) -> list[str]:
    return [each.id for each in found]


@pytest.fixture(scope="module")
def stored(fresh: Callable[[], Database]) -> Database:
    """A group of thirty without a parent among other tasks, and a family."""
    db = fresh()
    members = [
        task(
            f"m{number}",
            number,
            group_id="g",
            chord_id="end",
            name="shop.thumb",
            state=TaskState.FAILURE if number == 7 else TaskState.SUCCESS,
        )
        for number in range(30)
    ]
    others = [task(f"o{number}", number + 0.5, name="shop.other") for number in range(30)]
    end = task("end", 9_000, parent_id="m29", root_id="m29", name="shop.zip")
    parent = task("parent", 100, name="shop.order")
    family = [
        task(f"c{number}", 101 + number, parent_id="parent", root_id="parent", group_id="h")
        for number in range(20)
    ]
    again = task("again", 500, retry_of="c1", name="shop.else")
    commit(db, Batch(tasks=[*members, *others, end, parent, *family, again]))
    return db


def test_parent_children_and_what_was_run_again_are_found_by_their_links(stored: Database) -> None:
    child = relatives_of(stored, task("c1", 102, parent_id="parent", root_id="parent"))
    parent = relatives_of(stored, task("parent", 100, name="shop.order"))
    again = relatives_of(stored, task("again", 500, retry_of="c1", name=None))

    assert list(child.named) == ["parent"]
    assert ids(child.retries) == ["again"]
    assert ids(parent.children) == [f"c{number}" for number in range(SHOWN + 1)]
    assert ("c1" in again.named, again.before, again.after) == (True, (), ())
    assert {"parent", "again"} < child.ids


def test_of_the_same_name_the_nearest_before_and_after_are_found(stored: Database) -> None:
    found = relatives_of(stored, task("c5", 106, parent_id="parent"))

    assert ids(found.before) == [f"c{number}" for number in range(5 - SIBLINGS, 5)]
    assert ids(found.after) == [f"c{number}" for number in range(6, 6 + SIBLINGS)]


def test_a_group_that_a_task_sent_is_whole(stored: Database) -> None:
    found = relatives_of(stored, task("c1", 102, parent_id="parent", group_id="h")).group

    assert found is not None
    assert (found.whole, found.count, len(found.members)) == (True, 20, SHOWN + 1)


def test_a_group_without_a_parent_is_found_among_those_beside_it(stored: Database) -> None:
    found = relatives_of(stored, task("m3", 3, group_id="g", chord_id="end")).group
    alone = relatives_of(stored, task("m3", 3, group_id="nobody")).group

    assert found is not None
    assert not found.whole
    assert found.states == {TaskState.SUCCESS: 29, TaskState.FAILURE: 1}
    assert ids(found.members) == [f"m{number}" for number in range(SHOWN + 1)]
    assert alone is not None
    assert alone.count == 0
    assert 2 * NEARBY <= COUNTED


def test_the_end_of_a_chord_shows_the_group_that_it_waited_for(stored: Database) -> None:
    found = relatives_of(stored, task("end", 9_000, parent_id="m29", name="shop.zip"))

    assert found.group is not None
    assert found.group.count == 30


def test_what_is_usual_is_read_from_the_figures_of_a_name(
    fresh: Callable[[], Database], monkeypatch: Any
) -> None:
    db = fresh()
    now = NOON + 7_200
    tally, few = Tally(), Tally()
    for number in range(100):
        tally.add(1.0 + number / 100, number / 10)
    for _ in range(ENOUGH - 1):
        few.add(5.0)
    keys = [TallyKey(minute_of(NOON), name, TaskState.SUCCESS) for name in ("a", "b")]
    commit(db, Batch(tallies=dict(zip(keys, (tally, few), strict=True))))
    usual = read_usual(db, "a", now)

    assert usual.count == 100
    assert usual.run_p50 == pytest.approx(1.5, rel=0.02)
    assert usual.run_p95 == pytest.approx(1.94, rel=0.02)
    assert usual.wait_p95 == pytest.approx(9.4, rel=0.02)
    assert read_usual(db, "b", now) == Usual(count=ENOUGH - 1)
    assert read_usual(db, "nobody", now) == UNKNOWN
    assert read_usual(db, "a", now + 30 * 3_600) == UNKNOWN
