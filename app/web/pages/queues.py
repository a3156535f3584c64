"""Queues: how much waits in each, for how long, and who takes it."""

import asyncio
import time
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.filters import TaskFilter
from app.domain.queues import STALE, Queue
from app.domain.tasks import Task
from app.store import queues, tasks
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.render import queue_path

LATEST = 20
"""Tasks of one queue shown; its link to the list shows all."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Measured:
    """A queue, and whether its figures are of now."""

    queue: Queue
    fresh: bool


@dataclass(frozen=True, slots=True)
class QueuePage:
    """All that the page of one queue shows."""

    measured: Measured
    latest: tuple[Task, ...]


class QueuesView:
    """The view of all queues."""

    key = "queues"
    every = 1.0

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def take(self, news: Digest | None) -> bool:
        return news is None or "queue" in news.kinds

    async def fragments(self) -> dict[str, Markup]:
        whole = await self._dashboard.shell.whole()
        listed = [measured(queue) for queue in whole.queues]
        return {"queues": self._dashboard.render("queues/_table.html", queues=listed)}


class QueueView:
    """The view of one queue."""

    every = 1.0
    parts = ("head", "queue", "latest")

    def __init__(self, dashboard: Dashboard, name: str) -> None:
        self._dashboard = dashboard
        self._name = name
        self.key = queue_path(name).removeprefix("/ui/")

    def take(self, news: Digest | None) -> bool:
        return news is None or "queue" in news.kinds or self._name in news.queues

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard, self._name)
        render = self._dashboard.render
        return {part: render(f"queues/_{part}.html", page=page) for part in self.parts}


def measured(queue: Queue) -> Measured:
    """The queue with a word on its figures."""
    return Measured(queue, time.time() - queue.measured_at < STALE)


async def read_page(dashboard: Dashboard, name: str) -> QueuePage:
    """Reads it all. Raises NotFound."""
    umbel = dashboard.umbel
    queue, latest = await asyncio.gather(
        umbel.reading(queues.get, umbel.db, name),
        umbel.reading(tasks.page, umbel.db, TaskFilter(queues=(name,)), limit=LATEST),
    )
    if queue is None:
        raise NotFound(f"No queue {name[:100]!r} has been heard of.")
    return QueuePage(measured(queue), tuple(latest.tasks))


@router.get("/ui/queues", include_in_schema=False)
async def index(request: Request) -> Response:
    """All queues."""
    dashboard = dashboard_of(request)
    return await dashboard.page(request, "queues/index.html", QueuesView(dashboard))


@router.get("/ui/queues/{name:path}", include_in_schema=False)
async def show(request: Request, name: str) -> Response:
    """One queue."""
    dashboard = dashboard_of(request)
    return await dashboard.page(request, "queues/show.html", QueueView(dashboard, name), name=name)
