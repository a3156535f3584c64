"""Workers: who is there, and what each is doing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.filters import TaskFilter
from app.domain.tasks import RUNNING, Task, TaskState
from app.domain.workers import Worker, WorkerState
from app.store import lost, tasks, workers
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.render import worker_path

LATEST = 20
"""Tasks of one worker shown; its link to the list shows all."""
LEFT = (TaskState.LOST, TaskState.RECEIVED, TaskState.RETRY)
"""What a worker can leave behind beside what it runs: given up, or taken and not begun."""
_ORDER = {WorkerState.LOST: 0, WorkerState.ONLINE: 1, WorkerState.OFFLINE: 2}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """All that the page of one worker shows."""

    worker: Worker
    running: tuple[Task, ...]
    latest: tuple[Task, ...]
    left: tuple[Task, ...]
    reasons: Mapping[str, str]


class WorkersView:
    """The view of all workers: the lost ones first."""

    key = "workers"
    every = 1.0

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def take(self, news: Digest | None) -> bool:
        return news is None or "worker" in news.kinds

    async def fragments(self) -> dict[str, Markup]:
        whole = await self._dashboard.shell.whole()
        listed = sorted(whole.workers, key=lambda worker: (_ORDER[worker.state], worker.name))
        return {"workers": self._dashboard.render("workers/_table.html", workers=listed)}


class WorkerView:
    """The view of one worker."""

    every = 1.0
    parts = ("head", "worker", "running", "left", "latest")

    def __init__(self, dashboard: Dashboard, name: str) -> None:
        self._dashboard = dashboard
        self._name = name
        self.key = worker_path(name).removeprefix("/ui/")

    def take(self, news: Digest | None) -> bool:
        return news is None or "worker" in news.kinds or self._name in news.workers

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard, self._name)
        render = self._dashboard.render
        return {part: render(f"workers/_{part}.html", page=page) for part in self.parts}


async def read_page(dashboard: Dashboard, name: str) -> WorkerPage:
    """Reads it all. Raises NotFound."""
    umbel = dashboard.umbel
    here = TaskFilter(workers=(name,))
    active = TaskFilter(workers=(name,), states=tuple(RUNNING))
    behind = TaskFilter(workers=(name,), states=LEFT)
    worker, running, latest, left = await asyncio.gather(
        umbel.reading(workers.get, umbel.db, name),
        umbel.reading(tasks.page, umbel.db, active, limit=LATEST),
        umbel.reading(tasks.page, umbel.db, here, limit=LATEST),
        umbel.reading(tasks.page, umbel.db, behind, limit=LATEST),
    )
    if worker is None:
        raise NotFound(f"No worker {name[:100]!r} has been heard of.")
    there = worker.state is WorkerState.ONLINE
    shown = [task for task in left.tasks if task.state is TaskState.LOST or not there]
    given_up = [task.id for task in shown if task.state is TaskState.LOST]
    reasons = await umbel.reading(lost.reasons, umbel.db, given_up)
    return WorkerPage(worker, tuple(running.tasks), tuple(latest.tasks), tuple(shown), reasons)


@router.get("/ui/workers", include_in_schema=False)
async def index(request: Request) -> Response:
    """All workers."""
    dashboard = dashboard_of(request)
    return await dashboard.page(request, "workers/index.html", WorkersView(dashboard))


@router.get("/ui/workers/{name:path}", include_in_schema=False)
async def show(request: Request, name: str) -> Response:
    """One worker."""
    dashboard = dashboard_of(request)
    return await dashboard.page(
        request, "workers/show.html", WorkerView(dashboard, name), name=name
    )
