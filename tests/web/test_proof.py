"""Every number of the first page is a link, and the list behind it has that many tasks."""

import random
import re
import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from app.domain.tasks import ENDED, Task, seq_of
from app.store.database import Database
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch, commit
from tests.http import new_client
from tests.support import RedisServer, eventually
from tests.web.conftest import Site

TASKS = 900
"""More than are compared row by row, so that only figures know how many."""
QUEUES = tuple(f"q{number}" for number in range(14))
NAMES = ("shop.pay", "shop.mail", "shop.resize", None)
LINK = re.compile(r'<a\b[^>]*?href="(/ui/tasks\?[^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[\d,]+(?![\w.])")
TOTAL = re.compile(r'id="total"[^>]*>\s*([\d,]+) task')


def ended_task(number: int, now: float) -> Task:
    """A task that ended in the last 20 hours, and was sent up to 3 hours before it ended."""
    chance = random.Random(number)
    finished = now - 3 - chance.choice((600, 3_000, 70_000)) * chance.random()
    began = finished - chance.choice((0.1, 10.0, 10_000.0)) * chance.random()
    return Task(
        id=f"proof-{number}",
        seq=seq_of(began, number),
        name=chance.choice(NAMES),
        state=chance.choices(sorted(ENDED), (4, 2, 1, 1, 12))[0],
        queue=chance.choice((*QUEUES, None)),
        worker=chance.choice(("w1@a", "w2@b", None)),
        sent_at=began,
        started_at=began + (finished - began) / 2,
        finished_at=finished,
        runtime=(finished - began) / 2,
    )


def tallies_of(tasks: list[Task]) -> dict[TallyKey, Tally]:
    found: dict[TallyKey, Tally] = {}
    for task in tasks:
        assert task.finished_at is not None
        minute = minute_of(task.finished_at)
        key = TallyKey(minute, task.name, task.state, task.queue, task.worker)
        found.setdefault(key, Tally()).add(task.runtime, task.wait, task.whole)
    return found


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A site whose store has known tasks, and nothing happens on it."""
    folder = tmp_path_factory.mktemp("proof")
    redis = RedisServer(folder / "redis").start()
    db = Database.open(folder / "data")
    tasks = [ended_task(number, time.time()) for number in range(TASKS)]
    for at in range(0, TASKS, 300):
        commit(db, Batch(tasks=tasks[at : at + 300], tallies=tallies_of(tasks[at : at + 300])))
    db.close()
    site = Site(redis, folder).start()
    eventually(site.ready)
    with new_client(base_url=site.url, timeout=30) as client:
        yield client
    site.stop()
    redis.stop()


def links(page: str, part: str) -> list[tuple[str, str]]:
    """Addresses and texts of the links to lists in a part of the page, known by its id."""
    begin = page.index(f'id="{part}"')
    end = page.index("</nav>" if part == "counts" else "</section>", begin)
    found = LINK.findall(page[begin:end])
    return [(unescape(href), unescape(re.sub(r"<[^>]*>", " ", text))) for href, text in found]


def total(client: httpx.Client, address: str) -> int:
    found = TOTAL.search(client.get(address).text)
    assert found, address
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize(
    "choice", ["range=15m&by=name", "range=1h&by=queue", "range=24h&by=worker", "range=7d&by=name"]
)
def test_the_list_behind_a_number_has_as_many_tasks(known: httpx.Client, choice: str) -> None:
    page = known.get(f"/?{choice}").text
    compared = 0
    for part in ("counts", "ended", "labels"):
        for address, words in links(page, part):
            numbers = NUMBER.findall(words)
            if len(numbers) == 1 and not re.search(r"%|\bp\d\d\b|\d (ms|s|min|h)\b", words):
                assert total(known, address) == int(numbers[0].replace(",", "")), (address, words)
                compared += 1
    assert compared >= 12
    assert 'id="label-all"' in page


def test_a_percentile_is_proved_by_the_tasks_that_ran_so_long(known: httpx.Client) -> None:
    page = known.get("/?range=24h").text
    address = next(href for href, words in links(page, "ended") if "p95" in words and "q=" in href)
    pairs = parse_qsl(urlsplit(address).query)
    least = float(dict(pairs)["q"].removeprefix("runtime:>=").removesuffix("s"))
    slow = known.get("/tasks", params=[*pairs, ("limit", "500")]).json()["tasks"]
    everything = [pair for pair in pairs if pair[0] != "q"]

    assert all(task["runtime_seconds"] >= least for task in slow)
    assert len(slow) == pytest.approx(
        total(known, f"/ui/tasks?ended={dict(pairs)['ended']}") / 20, rel=0.1
    )
    assert everything == [("ended", dict(pairs)["ended"])]


def test_a_step_and_a_sentence_are_proved_too(known: httpx.Client) -> None:
    steps = known.get("/ui/figures?range=24h").text
    for address, words in LINK.findall(steps)[:60]:
        if re.fullmatch(r"[\d,]+", words):
            assert total(known, unescape(address)) == int(words.replace(",", "")), address
    said = next(each for each in links(known.get("/").text, "attention") if "fail" in each[1])
    failed = NUMBER.findall(said[1])[0]

    assert total(known, said[0]) == int(failed)


def test_a_first_page_that_shows_all_does_not_look_for_more(known: httpx.Client) -> None:
    address = "/ui/tasks?state=LOST&name=shop.pay&ended=" + minute(time.time() - 600)
    page = known.get(address).text

    assert 0 < total(known, address) <= 50
    assert page.count("<tr id=") == total(known, address)
    assert 'rel="next"' not in page


def test_all_labels_are_shown_where_asked(known: httpx.Client) -> None:
    few = known.get("/?range=7d&by=queue").text
    [more] = set(re.findall(r'href="(/\?[^"]*rows=all)"', few))
    everything = known.get(unescape(more)).text

    assert few.count('<tr id="label-') == 12 + 1
    assert everything.count('<tr id="label-') == len(QUEUES) + 1 + 1


def minute(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(at))
