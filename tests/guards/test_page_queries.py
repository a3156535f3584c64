"""How many SQL statements a page and a list of REST make: none for each row."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.domain.tasks import Task, TaskState, seq_of
from app.domain.workers import Worker
from app.main import create_app
from app.settings import Settings
from app.store.database import Database
from app.store.writer import Batch, commit
from tests.guards.counting import statements

PAGES = {
    "/": 2,
    "/?range=30d&by=worker&sort=rate": 2,
    "/ui/figures?range=7d": 0,
    "/ui/tasks": 3,
    "/ui/tasks?state=SUCCESS&q=add": 11,
    "/ui/tasks?q=-name:noise+args.x:1+runtime:>1s": 12,
    "/ui/suggest?q=add": 6,
    "/ui/palette?q=app.add": 3,
    "/ui/tasks?ended=1h": 7,
    "/ui/tasks/t-00000001": 8,
    "/ui/workers": 5,
    "/ui/queues": 5,
    "/ui/data-quality": 0,
    "/tasks": 1,
    "/tasks?state=SUCCESS&limit=200": 1,
    "/tasks/t-00000001": 3,
    "/workers": 1,
    "/queues": 1,
    "/stats": 3,
}
"""Statements of each at the most, beside BEGIN, with 300 tasks in the store. One more is a new
question to the store, so these are what there are; 0 where all is read from memory for a moment."""
TASKS = 300
LOOKS = 30
"""Of each page, until one is as it should be: the server's own work in the background makes
statements too, now and then, and always on a machine that is slow."""


def task(number: int) -> Task:
    at = time.time() - 60 + number / 100
    return Task(
        id=f"t-{number:08d}",
        seq=seq_of(at) + number,
        name="app.add",
        state=TaskState.SUCCESS,
        queue="celery",
        worker="w1@test",
        received_at=at,
        started_at=at,
        finished_at=at + 0.1,
        runtime=0.1,
    )


@pytest.fixture
async def client(redis_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Of a server in this process, with a store in which there are tasks."""
    db = Database.open(tmp_path)
    worker = replace(Worker(name="w1@test"), heard_at=time.time())
    commit(db, Batch(tasks=[task(number) for number in range(TASKS)], workers=[worker]))
    db.close()
    settings = Settings(broker_url=redis_url, database_url=f"sqlite:///{tmp_path}/umbel.db")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


async def test_no_page_and_no_list_makes_more_statements_than_before(
    client: httpx.AsyncClient,
) -> None:
    found = {path: await statements_of(client, path) for path in PAGES}
    assert {path: count for path, count in found.items() if count > PAGES[path]} == {}


async def statements_of(client: httpx.AsyncClient, path: str) -> int:
    """The fewest of some looks."""
    counted = []
    for _ in range(LOOKS):
        with statements() as seen:
            accept = (
                "text/html" if path.startswith(("/?", "/ui")) or path == "/" else "application/json"
            )
            answer = await client.get(path, headers={"accept": accept})
        assert answer.status_code == 200, answer.text
        counted.append(sum(each for text, each in seen.items() if text != "BEGIN"))
        if len(counted) > 1 and counted[-1] <= PAGES[path]:
            break
    return min(counted)
