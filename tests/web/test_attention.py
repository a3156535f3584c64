"""What needs attention is told in one sentence each, worst first; what is usual is not."""

import time
from pathlib import Path

import pytest

from app.domain.queues import Queue
from app.domain.tasks import TaskState
from app.domain.workers import Worker, WorkerState
from app.store.figures import Ended
from app.web.pages.assets import StaticAssets
from app.web.pages.concerns import (
    Concern,
    Grade,
    is_unusual,
    of_failures,
    of_queues,
    of_workers,
)
from app.web.pages.render import Templates
from tests.http import web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site

NOW = time.time()
NOON = 1_795_348_800.0
"""2026-11-22T12:00:00Z, since when what ended is told."""


def ended(succeeded: int = 0, failed: int = 0, lost: int = 0, wait: float | None = None) -> Ended:
    states = {TaskState.SUCCESS: succeeded, TaskState.FAILURE: failed, TaskState.LOST: lost}
    found = Ended(counts=states)
    if wait is not None:
        found.wait.add([wait] * succeeded)
    return found


def queue(waiting: int = 5, age: float | None = 10.0, **known: object) -> Queue:
    at = None if age is None else NOW - age
    found = {"name": "mail", "measured_at": NOW, "consumers": ("w1",), "oldest_sent_at": at}
    return Queue(**{**found, "depths": ((0, waiting),), **known})  # type: ignore[arg-type]


def words(concerns: list[Concern]) -> list[str]:
    return [concern.words for concern in concerns]


@pytest.mark.parametrize(
    ("lately", "usually", "unusual"),
    [
        (ended(10, 2), None, False),
        (ended(10, 3), None, True),
        (ended(10, 3), ended(5, 0), True),
        (ended(97, 3), ended(9_700, 300), False),
        (ended(90, 10), ended(9_700, 300), True),
        (ended(98_900, 1_100), ended(990_000, 10_000), False),
        (ended(0, 3), ended(700, 300), False),
        (ended(0, 40), ended(0, 4_000), False),
    ],
    ids=[
        "two are few",
        "three of an unknown task",
        "too few ended before",
        "as ever",
        "three times as many",
        "a tenth more, although it can't be chance",
        "three by chance",
        "always fails",
    ],
)
def test_failing_is_more_than_chance_and_habit(
    lately: Ended, usually: Ended | None, unusual: bool
) -> None:
    assert is_unusual(lately, usually) is unusual


def test_failing_tasks_are_told_with_what_is_usual() -> None:
    lately = {"shop.pay": ended(18, 6), "shop.mail": ended(100, 1), None: ended(5)}
    found = list(of_failures(lately, {"shop.pay": ended(995, 5), "shop.mail": ended(99, 1)}, NOON))
    assert words(found) == [
        "pay fails: 6 of 24 in the last 15 minutes, 25 %",
        "1 task failed in the last 15 minutes",
    ]
    assert found[0].detail == "usually 0.5 %"
    assert (
        found[0].address
        == "/ui/tasks?state=FAILURE,REJECTED&name=shop.pay&ended=2026-11-22T12:00:00Z"
    )
    assert [each.grade for each in found] == [Grade.BAD, Grade.NOTE]


def test_many_failing_tasks_are_told_in_three_sentences() -> None:
    lately = {f"t{number}": ended(0, 10 + number) for number in range(9)}
    found = words(list(of_failures(lately, {}, NOON)))
    assert [each.split(" ")[0] for each in found] == ["t8", "t7", "7"]


def test_a_lost_worker_is_told_with_what_went_with_it() -> None:
    gone = Worker(name="w1@a", state=WorkerState.LOST, since=NOW - 60, heard_at=NOW - 70)
    old = Worker(name="w0@a", state=WorkerState.LOST, since=NOW - 90_000, heard_at=NOW - 90_000)
    found = list(
        of_workers([old, gone], {"w1@a": ended(lost=2), "w2@a": ended(3, lost=1)}, NOW, NOON)
    )
    assert words(found) == [
        "Worker w1@a is lost, and 2 tasks with it in the last hour",
        "1 task was lost in the last hour",
    ]
    assert found[0].moment == NOW - 70
    assert [each.address for each in found] == [
        "/ui/workers/w1@a",
        "/ui/tasks?state=LOST&ended=2026-11-22T12:00:00Z",
    ]


def test_many_lost_workers_are_told_together() -> None:
    gone = [
        Worker(name=f"w{number}", state=WorkerState.LOST, since=NOW, heard_at=NOW)
        for number in range(9)
    ]
    found = list(of_workers(gone, {f"w{number}": ended(lost=1) for number in range(9)}, NOW, NOON))
    assert len(found) == 3
    assert words(found)[-1] == "7 more workers are lost, and 7 tasks with them in the last hour"


def test_a_queue_that_nobody_reads_is_told() -> None:
    [found] = of_queues([queue(consumers=())], {}, NOW)
    assert found.words == "No worker reads queue mail: 5 waiting"
    assert found.address == "/ui/queues/mail"
    assert list(of_queues([queue(0, consumers=())], {}, NOW)) == []


@pytest.mark.parametrize(
    ("age", "usually", "aged"),
    [
        (None, None, False),
        (299.0, None, False),
        (301.0, None, True),
        (59.0, ended(100, wait=0.1), False),
        (61.0, ended(100, wait=0.1), True),
        (301.0, ended(100, wait=100.0), False),
        (520.0, ended(100, wait=100.0), True),
        (61.0, ended(10, wait=0.1), False),
    ],
)
def test_a_queue_ages_beyond_what_is_usual(
    age: float | None, usually: Ended | None, aged: bool
) -> None:
    usual = {} if usually is None else {"mail": usually}
    assert bool(list(of_queues([queue(age=age)], usual, NOW))) is aged


def test_a_queue_that_is_not_measured_is_unknown_and_not_empty() -> None:
    [found] = of_queues([queue(measured_at=NOW - 60, consumers=())], {}, NOW)
    assert found.grade is Grade.UNKNOWN
    assert (found.words, found.moment) == ("How much waits in 1 queue is unknown", NOW - 60)


def test_what_dead_workers_hold_is_told_with_when_it_comes_back() -> None:
    [found] = of_queues([queue(0, orphans=3, redelivery_at=NOW + 60)], {}, NOW)
    assert found.words == "3 messages of queue mail went with workers that are gone"
    assert (found.detail, found.moment) == ("handed out again %(time)s", NOW + 60)


def test_hostile_names_stay_text() -> None:
    hostile = '<img src=x onerror="a(1)">'
    found = list(of_failures({hostile: ended(0, 9)}, {}, NOON))
    page = {"attention": {"concerns": found, "pressing": 1, "calm": ""}}
    text = Templates(StaticAssets())("overview/_attention.html", page=page)
    assert "<img" not in text
    assert "%3Cimg" in text


def test_while_nothing_is_heard_it_is_unknown_and_not_calm(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    site = Site(redis, tmp_path).start()
    try:
        eventually(site.ready)
        calm = eventually(lambda: "Nothing needs attention." in (text := of(site)) and text)
        assert "What happens now is unknown" not in calm
        redis.stop()
        page = eventually(lambda: "What happens now is unknown" in (text := of(site)) and text)
        assert "Nothing needs attention." not in page
    finally:
        site.stop()
        redis.stop()


def of(site: Site) -> str:
    return web.get(site.url + "/", headers={"Accept": "text/html"}).text
