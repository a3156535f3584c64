"""The pages of workers: whole fleets in a store, one server in this process, no recorder."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.domain.errors import BadInput
from app.domain.tasks import Task, TaskState, Transition, seq_of
from app.domain.workers import Worker, WorkerState
from app.main import create_app
from app.settings import Settings
from app.store.database import Database
from app.store.rollups import Tally, TallyKey, minute_of
from app.store.writer import Batch, commit
from app.web.pages.fleet import (
    LISTED,
    Choice,
    choice_of,
    hosts_of,
    list_of,
    load_of,
    software_of,
    versions_of,
)

HTML = {"accept": "text/html"}


def worker(number: int, host: str = "web-1", **other: object) -> Worker:
    now = time.time()
    told = Worker(
        name=f"w{number:03d}@{host}",
        since=now - 60,
        heard_at=now,
        active=number % 5,
        concurrency=4,
        processed=7,
        software="py-celery 5.7.0 Linux",
        pool="prefork",
        queues=("celery",),
        loadavg=(0.5, 0.4, 0.3),
    )
    return replace(told, **other)  # type: ignore[arg-type]


def running(number: int, name: str, at: float, where: str) -> Task:
    return Task(
        id=f"r-{number:05d}",
        seq=seq_of(at) + number,
        name=name,
        state=TaskState.STARTED,
        worker=where,
        started_at=at,
        transitions=[Transition(TaskState.STARTED, at, where)],
    )


@asynccontextmanager
async def served(redis_url: str, folder: Path, batch: Batch) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose store has all of that."""
    db = Database.open(folder)
    commit(db, batch)
    db.close()
    settings = Settings(broker_url=redis_url, database_url=f"sqlite:///{folder}/umbel.db")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=HTML
        ) as client:
            yield client


def names(workers: Sequence[Worker]) -> list[str]:
    return [each.name.partition("@")[0] for each in workers]


def test_the_lost_come_first_then_the_busiest_and_those_that_left_come_last() -> None:
    fleet = [
        worker(1),
        worker(4),
        worker(2, state=WorkerState.OFFLINE),
        worker(3, state=WorkerState.LOST),
        worker(9),
    ]

    assert names(list_of(fleet, Choice()).workers) == ["w003", "w004", "w009", "w001", "w002"]
    assert names(list_of(fleet, Choice(sort="name")).workers) == sorted(names(fleet))


def test_who_was_silent_for_longest_can_come_first() -> None:
    fleet = [worker(number, heard_at=100.0 + number % 3) for number in (1, 2, 3)]

    assert names(list_of(fleet, Choice(sort="heartbeat")).workers) == ["w003", "w001", "w002"]


def test_a_list_has_pages_and_none_beyond_its_last() -> None:
    fleet = [worker(number) for number in range(120)]
    first, beyond = list_of(fleet, Choice(sort="name")), list_of(fleet, Choice(page=99))

    assert (len(first.workers), first.total, first.pages) == (LISTED, 120, 3)
    assert (len(beyond.workers), beyond.first) == (20, 100)


def test_an_address_says_which_workers_are_meant_and_nothing_else_is_taken() -> None:
    choice = choice_of([("state", "lost"), ("host", "web-1"), ("page", "2"), ("x", "y")])

    assert choice == Choice(state="LOST", host="web-1", page=2)
    assert choice_of([]).query == ""
    assert choice.address(state="") == "/ui/workers?host=web-1"
    for key, value in (("sort", "age"), ("state", "DEAD"), ("page", "0"), ("page", "x")):
        with pytest.raises(BadInput) as refused:
            choice_of([(key, value)])
        assert refused.value.errors[0].loc == ("query", key)


def test_slots_are_counted_of_those_who_tell_them_and_the_others_are_told_apart() -> None:
    load = load_of(
        [
            worker(3),
            worker(4, concurrency=None),
            worker(2, active=None),
            worker(4, state=WorkerState.LOST),
        ]
    )

    assert (load.online, load.lost, load.busy, load.slots, load.untold) == (3, 1, 3, 4, 2)
    assert load_of([worker(1, active=None)]).share is None, "not known is not 0"


def test_hosts_are_summed_up_where_there_are_several_workers_on_each() -> None:
    crowd = [worker(number, f"web-{number % 3}") for number in range(30)]
    crowd[7] = replace(crowd[7], state=WorkerState.LOST)
    found = hosts_of(crowd)

    assert found[0].name == "web-1", "the one with a lost worker first"
    assert [host.load.online for host in found] == [9, 10, 10]
    assert hosts_of([worker(number, f"pod-{number}") for number in range(30)]) == ()
    assert hosts_of(crowd[:4]) == ()


def test_software_is_called_as_people_know_it() -> None:
    fleet = [worker(1), worker(2), worker(3, software="py-celery 5.6.3 Linux")]

    assert software_of(worker(1)) == "Celery 5.7.0"
    assert software_of(worker(1, software="my-thing 1")) == "my-thing 1"
    assert software_of(worker(1, software=None)) is None
    assert versions_of(fleet) == (("Celery 5.7.0", 2), ("Celery 5.6.3", 1))


async def test_five_hundred_workers_are_a_page_of_bounded_size(
    redis_url: str, tmp_path: Path
) -> None:
    fleet = [worker(number, f"web-{number % 40}") for number in range(500)]
    async with served(redis_url, tmp_path, Batch(workers=fleet)) as client:
        first = await client.get("/ui/workers")
        last = await client.get("/ui/workers?sort=name&page=10")
        host = await client.get("/ui/workers?host=web-7")

    assert first.text.count('<tr id="worker-') == LISTED
    assert "1 to 50 of 500" in first.text
    assert "and 16 more" in first.text, "hosts"
    assert len(first.content) < 120_000
    assert "w499@web-19" in last.text
    assert host.text.count('<tr id="worker-') == 13


async def test_what_runs_longer_than_usual_is_marked(redis_url: str, tmp_path: Path) -> None:
    now = time.time()
    tally = Tally()
    for _ in range(50):
        tally.add(runtime=0.5, wait=0.1, whole=True)
    key = TallyKey(minute_of(now - 120), "app.quick", TaskState.SUCCESS)
    tasks = [
        running(1, "app.quick", now - 30, "w001@web-1"),
        running(2, "app.never-ended", now - 300, "w001@web-1"),
    ]
    batch = Batch(workers=[worker(1)], tasks=tasks, tallies={key: tally})
    async with served(redis_url, tmp_path, batch) as client:
        listed = (await client.get("/ui/workers")).text
        alone = (await client.get("/ui/workers/w001@web-1")).text

    for page in (listed, alone):
        assert page.count("longer than usual") == 1
        assert "95 % ran up to " in page
        assert page.index("never-ended") < page.index("quick</a>"), "what began first, first"


async def test_a_lost_worker_is_kept_and_leads_to_what_it_took(
    redis_url: str, tmp_path: Path
) -> None:
    gone = worker(1, state=WorkerState.LOST, active=None)
    now = time.time()
    taken = [
        replace(running(number, "app.add", now - 60, gone.name), state=TaskState.LOST)
        for number in range(3)
    ]
    async with served(redis_url, tmp_path, Batch(workers=[gone], tasks=taken)) as client:
        listed = (await client.get("/ui/workers")).text
        alone = (await client.get(f"/ui/workers/{gone.name}")).text
        proof = await client.get(f"/tasks?state=LOST&worker={gone.name}")

    for page in (listed, alone):
        assert "3 tasks that it had are lost" in page
        assert "/ui/tasks?state=LOST&amp;worker=w001%40web-1" in page
        assert "unknown since" in page
    assert len(proof.json()["tasks"]) == 3


async def test_what_a_worker_does_not_tell_is_said_to_be_unknown(
    redis_url: str, tmp_path: Path
) -> None:
    mute = Worker(name="mute@web-1", since=time.time(), heard_at=time.time())
    async with served(redis_url, tmp_path, Batch(workers=[mute])) as client:
        listed = (await client.get("/ui/workers")).text
        alone = (await client.get("/ui/workers/mute@web-1")).text
        nobody = await client.get("/ui/workers?state=lost")
        wrong = await client.get("/ui/workers?sort=age")

    assert "version not known" in listed
    assert "slots are busy: not known" in listed
    assert alone.count("not known") >= 8
    assert "No worker is so" in nobody.text
    assert wrong.status_code == 422
