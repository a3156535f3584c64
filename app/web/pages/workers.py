"""Workers: who is there, how busy they are, and what each is doing for how long already."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import RUNNING, Task, TaskState
from app.domain.workers import Worker, WorkerState
from app.store import lost, tasks, totals, workers
from app.store.labels import Kind
from app.store.totals import Total
from app.web.compared import Lately, Usually, usual_run
from app.web.figures import RANGES
from app.web.pages.charted import Charting, range_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.ended import EndedPart
from app.web.pages.fleet import (
    HOSTS,
    LISTED,
    Choice,
    Host,
    Listed,
    Load,
    choice_of,
    hosts_of,
    list_of,
    load_of,
    versions_of,
)
from app.web.pages.render import worker_path

LATEST = 20
"""Tasks of one worker shown; its link to the list shows all."""
RUNS_READ = 300
"""Running tasks that are read for one page of workers, those that began first before the others."""
RUNS_SHOWN = 3
"""Of one worker in the list; its page shows more."""
COUNTED = 10
"""Lost workers of which the list says how many tasks are lost: each is counted by itself."""
LEFT = (TaskState.LOST, TaskState.RECEIVED, TaskState.RETRY)
"""What a worker can leave behind beside what it runs: given up, or taken and not begun."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Run:
    """A task at work. `usual` is in how many seconds 95 % of its name had run; None: not known."""

    task: Task
    usual: float | None
    long: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A worker in the list, what it runs, and how many tasks are lost that it had."""

    worker: Worker
    runs: tuple[Run, ...]
    took: Total | None

    @property
    def more(self) -> int:
        """Tasks at work that are not shown, as far as that is known."""
        return max(len(self.runs), self.worker.active or 0) - len(self.runs[:RUNS_SHOWN])


@dataclass(frozen=True, slots=True)
class FleetPage:
    """All that the list shows."""

    choice: Choice
    load: Load
    versions: tuple[tuple[str, int], ...]
    hosts: tuple[Host, ...]
    more_hosts: int
    listed: Listed
    rows: tuple[Row, ...]
    known: int


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """All that the page of one worker shows."""

    worker: Worker
    runs: tuple[Run, ...]
    latest: tuple[Task, ...]
    left: tuple[Task, ...]
    reasons: Mapping[str, str]
    took: Total | None
    ended: EndedPart


class WorkersView:
    """The view of the fleet, as somebody chose it."""

    every = 1.0
    parts = ("fleet", "hosts", "workers")

    def __init__(self, dashboard: Dashboard, choice: Choice) -> None:
        self._dashboard = dashboard
        self._choice = choice
        self.key = f"workers?{choice.query}" if choice.query else "workers"

    def take(self, news: Digest | None) -> bool:
        return news is None or bool(news)

    async def fragments(self) -> dict[str, Markup]:
        page = await read_fleet(self._dashboard, self._choice)
        render = self._dashboard.render
        return {part: render(f"workers/_{part}.html", page=page) for part in self.parts}


class WorkerView:
    """The view of one worker, with charts of a time."""

    every = 1.0
    parts = ("head", "worker", "running", "left", "ended", "latest")

    def __init__(
        self,
        dashboard: Dashboard,
        name: str,
        pairs: Sequence[tuple[str, str]],
        *,
        plain: bool = False,
    ) -> None:
        """`plain`: with what only a page without scripts needs."""
        self._dashboard = dashboard
        self._name = name
        self._plain = plain
        self.charting = Charting(dashboard, Kind.WORKER, name, range_of(pairs))
        self.key = worker_path(name).removeprefix("/ui/") + self.charting.query

    def take(self, news: Digest | None) -> bool:
        return news is None or "worker" in news.kinds or self._name in news.workers

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard, self._name, self.charting)
        render = self._dashboard.render
        shown = {part: f"workers/_{part}.html" for part in self.parts}
        shown["ended"] = "overview/_ended.html"
        return {part: render(each, page=page, plain=self._plain) for part, each in shown.items()}


async def read_fleet(dashboard: Dashboard, choice: Choice) -> FleetPage:
    """Reads it all. Raises StoreUnavailable."""
    whole = await dashboard.shell.whole()
    meant = [worker for worker in whole.workers if choice.takes(worker)]
    listed = list_of(whole.workers, choice)
    online = [each.name for each in listed.workers if each.state is WorkerState.ONLINE]
    gone = [each.name for each in listed.workers if each.state is WorkerState.LOST][:COUNTED]
    runs, took = await asyncio.gather(_runs(dashboard, online), _took(dashboard, gone))
    hosts = () if choice.host else hosts_of(meant)
    return FleetPage(
        choice=choice,
        load=load_of(meant),
        versions=versions_of(meant),
        hosts=hosts[:HOSTS],
        more_hosts=max(0, len(hosts) - HOSTS),
        listed=listed,
        rows=tuple(
            Row(worker, runs.get(worker.name, ()), took.get(worker.name))
            for worker in listed.workers
        ),
        known=len(whole.workers),
    )


async def read_page(dashboard: Dashboard, name: str, charting: Charting) -> WorkerPage:
    """Reads it all. Raises NotFound."""
    umbel = dashboard.umbel
    here = TaskFilter(workers=(name,))
    behind = TaskFilter(workers=(name,), states=LEFT)
    worker, runs, latest, left, ended = await asyncio.gather(
        umbel.reading(workers.get, umbel.db, name),
        _runs(dashboard, [name]),
        umbel.reading(tasks.page, umbel.db, here, limit=LATEST),
        umbel.reading(tasks.page, umbel.db, behind, limit=LATEST),
        charting.read(),
    )
    if worker is None:
        raise NotFound(f"No worker {name[:100]!r} has been heard of.")
    there = worker.state is WorkerState.ONLINE
    shown = [task for task in left.tasks if task.state is TaskState.LOST or not there]
    given_up = [task.id for task in shown if task.state is TaskState.LOST]
    reasons = await umbel.reading(lost.reasons, umbel.db, given_up)
    took = await _took(dashboard, [name]) if given_up else {}
    return WorkerPage(
        worker=worker,
        runs=runs.get(name, ()),
        latest=tuple(latest.tasks),
        left=tuple(shown),
        reasons=reasons,
        took=took.get(name),
        ended=ended,
    )


async def _runs(dashboard: Dashboard, names: Sequence[str]) -> dict[str, tuple[Run, ...]]:
    """What these workers run, by name, what began first before the rest."""
    if not names:
        return {}
    umbel = dashboard.umbel
    wanted = TaskFilter(workers=tuple(names), states=tuple(RUNNING))
    found, compared = await asyncio.gather(
        umbel.reading(tasks.page, umbel.db, wanted, sort=Sort.OLDEST, limit=RUNS_READ),
        dashboard.comparison.read(),
    )
    now = time.time()
    by_worker: dict[str, list[Run]] = {}
    for task in found.tasks:
        by_worker.setdefault(task.worker or "", []).append(_run(task, compared, now))
    for runs in by_worker.values():
        runs.sort(key=lambda run: run.task.started_at or now)
    return {name: tuple(runs) for name, runs in by_worker.items()}


def _run(task: Task, compared: tuple[Lately, Usually], now: float) -> Run:
    usual = usual_run(compared, task.name)
    long = usual is not None and task.started_at is not None and now - task.started_at > usual
    return Run(task, usual, long)


async def _took(dashboard: Dashboard, names: Sequence[str]) -> dict[str, Total]:
    """How many tasks are lost that each of these had."""
    umbel = dashboard.umbel
    wanted = [TaskFilter(workers=(name,), states=(TaskState.LOST,)) for name in names]
    found = [umbel.reading(totals.total, umbel.db, each) for each in wanted]
    return dict(zip(names, await asyncio.gather(*found), strict=True))


@router.get("/ui/workers", include_in_schema=False)
async def index(request: Request) -> Response:
    """All workers."""
    dashboard = dashboard_of(request)
    choice = choice_of(request.query_params.multi_items())
    view = WorkersView(dashboard, choice)
    return await dashboard.page(request, "workers/index.html", view, choice=choice, listed=LISTED)


@router.get("/ui/workers/{name:path}", include_in_schema=False)
async def show(request: Request, name: str) -> Response:
    """One worker."""
    dashboard = dashboard_of(request)
    view = WorkerView(dashboard, name, request.query_params.multi_items(), plain=True)
    return await dashboard.page(
        request,
        "workers/show.html",
        view,
        name=name,
        charting=view.charting,
        ranges=tuple(RANGES.values()),
    )
