"""The pages of queues: where each is going, only as far as its minutes bear that out."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.queues import Queue
from app.domain.tasks import TaskState
from app.store.figures import Ended
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch
from app.web.pages.formats import duration
from app.web.pages.trends import Minutes, Trend, spark_of, trend_of
from tests.web.test_workers_page import served, worker

NOW = 1_790_000_030.0


def queue(waiting: int, **other: object) -> Queue:
    told = Queue(
        name="mail",
        measured_at=NOW,
        depths=((0, waiting), (3, 0), (6, 0), (9, 0)),
        unacked=2,
        consumers=("w1@web-1",),
    )
    return replace(told, **other)  # type: ignore[arg-type]


def minutes(*depths: int) -> Minutes:
    """The depths of the last minutes, this one last."""
    first = minute_of(NOW) - 60 * (len(depths) - 1)
    return [(first + 60 * place, depth) for place, depth in enumerate(depths)]


def trend(waiting: int, *depths: int, ended: int = 0, **other: object) -> Trend:
    counted = Ended(counts={TaskState.SUCCESS: ended})
    return trend_of(queue(waiting, **other), minutes(*depths), counted, NOW)


def test_what_comes_in_is_what_ended_and_what_piled_up() -> None:
    found = trend(130, 100, 106, 112, 118, 124, ended=250)

    assert found.done == 50.0
    assert found.come == pytest.approx(50 + 30 / 290 * 60)


@pytest.mark.parametrize(
    ("waiting", "depths", "began"),
    [
        (60, (0, 0, 5, 20, 40, 60), 4),
        (60, (50, 0, 5, 20, 40, 60), 4),
        (60, (0, 5, 20, 21, 20, 40, 60), 6),
        (60, (60, 60, 60, 60), None),
        (5, (0, 1, 2, 3, 4, 5), None),
        (60, (0, 60), None),
        (20, (60, 50, 40, 30, 20), None),
    ],
)
def test_a_queue_grows_when_it_did_so_for_minutes(
    waiting: int, depths: tuple[int, ...], began: int | None
) -> None:
    since = trend(waiting, *depths).growing_since

    assert since == (None if began is None else minute_of(NOW) - 60 * began)


def test_when_it_will_be_empty_is_said_only_where_it_empties_steadily() -> None:
    falling = trend(100, 400, 340, 280, 220, 160)

    assert falling.drain == pytest.approx(100 / (300 / 290))
    for other in (
        trend(100, 400, 340, 380, 220, 160),
        trend(100, 100, 100, 100, 100, 100),
        trend(0, 400, 340, 280, 220, 160),
        trend(100, 400, 340, 280, 220, 160, consumers=()),
        trend(100, 400),
    ):
        assert other.drain is None


def test_what_was_not_measured_is_no_part_of_a_drawing() -> None:
    drawn = spark_of([*minutes(5, 10)[:1], *minutes(10)], NOW)
    gap = spark_of([(minute_of(NOW) - 600, 4), (minute_of(NOW) - 60, 8), *minutes(2)], NOW)

    assert drawn == "M97.5 50L99.17 0"
    assert gap.count("M") == 2
    assert spark_of([], NOW) == ""


async def test_a_queue_that_nobody_reads_says_so_and_what_to_do(
    redis_url: str, tmp_path: Path
) -> None:
    now = time.time()
    known = {"oldest_id": "m1", "oldest_sent_at": now - 90}
    alone = replace(queue(12, consumers=(), **known), name="forgotten", measured_at=now)
    tally = Tally(count=25)
    key = TallyKey(minute_of(now - 60), "app.mail", TaskState.SUCCESS, "mail")
    batch = Batch(
        workers=[worker(1, queues=("mail",))],
        queues=[alone, queue(0, measured_at=now), queue(7, name="stale", measured_at=now - 3_600)],
        tallies={key: tally},
    )
    async with served(redis_url, tmp_path, batch) as client:
        listed = (await client.get("/ui/queues")).text
        page = (await client.get("/ui/queues/forgotten?range=15m")).text
        read = (await client.get("/ui/queues/mail")).text
        stale = (await client.get("/ui/queues/stale")).text
        wrong = await client.get("/ui/queues/mail?range=2y")

    assert listed.index("forgotten") < listed.index("/ui/queues/mail")
    assert "Nobody reads this queue." in page
    assert "celery -A your_app worker -Q forgotten" in page
    assert 'id="plot-depth"' in page
    assert "oldest now</span> <b" in page
    assert f">{duration(90.0)}</b>" in page
    assert "Nobody reads this queue." not in read
    assert "/ui/tasks?queue=mail&amp;ended=5m" in read
    assert "5 a minute" in read
    assert "unknown since" in stale
    assert wrong.status_code == 422
