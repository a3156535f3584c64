"""The figures of every range that pages offer are those that the tasks themselves add up to."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.domain.sketch import ACCURACY
from app.domain.tasks import TaskState
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.figures import FAILED, Ended
from app.store.labels import Kind
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch, commit
from app.web.figures import RANGES, Range, read_chart

TASKS = 4_000
NOW = time.time() // 86_400 * 86_400 + 12_345.6
"""Within a minute, an hour and a day of each: nothing is aligned by luck."""
MONTH = 31 * 86_400.0
PARTS = (0.5, 0.95, 0.99)
NAMES = {"shop.mail": 0.2, "shop.resize": 2.0, "reports.build": 90.0}


class Known(NamedTuple):
    """One task that ended."""

    at: float
    name: str
    state: TaskState
    run: float
    wait: float


def task(chance: random.Random) -> Known:
    """More lately than long ago, as what is looked at most should have most."""
    at = NOW - MONTH * chance.random() ** 4
    name = chance.choice(list(NAMES))
    late = 5.0 if at % 86_400 < 7_200 else 1.0
    return Known(
        at,
        name,
        chance.choices((TaskState.SUCCESS, *FAILED, TaskState.REVOKED), (90, 5, 1, 1, 3))[0],
        NAMES[name] * chance.lognormvariate(0, 0.8),
        0.02 * late * chance.lognormvariate(0, 1.2),
    )


@pytest.fixture(scope="module")
def known() -> list[Known]:
    chance = random.Random(11)
    return [task(chance) for _ in range(TASKS)]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory, known: list[Known]) -> Iterator[Database]:
    """A store that heard of them, of each tenth first that it had ended otherwise."""
    db = Database.open(tmp_path_factory.mktemp("ranges"))
    for start in range(0, TASKS, 500):
        tallies: dict[TallyKey, Tally] = defaultdict(Tally)
        for place, each in enumerate(known[start : start + 500]):
            minute = minute_of(each.at)
            tally = tallies[TallyKey(minute, each.name, each.state, "q", "w")]
            tally.add(each.run, each.wait, True)
            if place % 10 == 0:
                lost = tallies[TallyKey(minute, each.name, TaskState.LOST, "q", "w")]
                lost.add(None, each.wait)
                lost.take_back(None, each.wait)
        commit(db, Batch(tallies=dict(tallies)))
    yield db
    db.close()


def check(ended: Ended, tasks: list[Known]) -> None:
    """The figures are those of these tasks: counts exactly, quantiles within what is promised."""
    assert ended.count == len(tasks)
    assert ended.failed == sum(each.state in FAILED for each in tasks)
    for sketch, values in (
        (ended.run, sorted(each.run for each in tasks)),
        (ended.wait, sorted(each.wait for each in tasks)),
    ):
        assert sketch.count == len(values)
        assert sketch.total == pytest.approx(sum(values))
        exact = [values[int(part * (len(values) - 1))] for part in PARTS]
        assert sketch.quantiles(*PARTS) == pytest.approx(exact, rel=ACCURACY * 1.001)


@pytest.mark.parametrize("wanted", RANGES.values(), ids=list(RANGES))
def test_a_range_is_what_its_tasks_add_up_to(
    db: Database, known: list[Known], wanted: Range
) -> None:
    found = read_chart(db, wanted, Kind.NAME, NOW).found
    first = found.asked.since // wanted.step * wanted.step
    tasks = [each for each in known if each.at >= first]
    by_step: dict[int, list[Known]] = defaultdict(list)
    by_name: dict[str | None, list[Known]] = defaultdict(list)
    for each in tasks:
        by_step[int(each.at // wanted.step) * wanted.step].append(each)
        by_name[each.name].append(each)

    assert len(tasks) > 20
    assert NOW - wanted.length <= first <= NOW - wanted.length + wanted.step
    check(found.total, tasks)
    assert found.series.keys() == by_step.keys()
    for at, ended in found.series.items():
        check(ended, by_step[at])
    assert dict(found.labels).keys() == by_name.keys()
    for name, ended in found.labels:
        check(ended, by_name[name])


def test_what_is_known_begins_with_the_first_figure(db: Database, known: list[Known]) -> None:
    first = read_chart(db, RANGES["15m"], Kind.NAME, NOW).known_since
    assert first == minute_of(min(each.at for each in known))


def test_nothing_is_known_of_an_empty_store(tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    assert read_chart(db, RANGES["1h"], Kind.NAME, NOW).known_since is None
    db.close()


def test_blind_windows_are_those_that_touch_the_range(tmp_path: Path) -> None:
    db = Database.open(tmp_path)
    times = ((NOW - 9_000, NOW - 8_000), (NOW - 5_000, NOW - 3_000), (NOW - 60, None))
    windows = [BlindWindow(began_at=first, ended_at=end, cause="x") for first, end in times]
    commit(db, Batch(blind_windows=windows))
    found = read_chart(db, RANGES["1h"], Kind.NAME, NOW).blind
    assert [each.began_at for each in found] == [NOW - 60, NOW - 5_000]
    db.close()
