"""Queues: how much waits in each, for how long, who takes it, and where it is going."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.filters import TaskFilter
from app.domain.queues import STALE, Queue
from app.domain.tasks import Task
from app.store import figures, queues, tasks
from app.store.database import Database
from app.store.figures import Ended
from app.store.labels import Kind
from app.web.figures import RANGES
from app.web.pages.charted import Charting, range_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.ended import EndedPart
from app.web.pages.render import queue_path
from app.web.pages.trends import SPARK, WINDOW, Minutes, Trend, spark_of, trend_of, with_depth

LATEST = 20
"""Tasks of one queue shown; its link to the list shows all."""
LISTED = 100
"""Queues in the list, the fullest first: what a browser draws each second without effort."""
FRESH = 5.0
"""Seconds after which minutes and rates are read anew: the youngest of them changes slowly."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Measured:
    """A queue, whether its figures are of now, where it is going, and its last hour drawn."""

    queue: Queue
    fresh: bool
    trend: Trend = field(default_factory=Trend)
    spark: str = ""

    @property
    def unread(self) -> bool:
        """Nobody takes what waits in it."""
        return self.fresh and not self.queue.consumers


@dataclass(frozen=True, slots=True)
class QueuesPage:
    """All that the list shows: those that need somebody first."""

    queues: tuple[Measured, ...]
    more: int


@dataclass(frozen=True, slots=True)
class QueuePage:
    """All that the page of one queue shows."""

    measured: Measured
    latest: tuple[Task, ...]
    ended: EndedPart


@dataclass(frozen=True, slots=True)
class Recent:
    """What the last hour and the last minutes say of some queues."""

    minutes: dict[str, Minutes]
    ended: dict[str | None, Ended]


class Recently:
    """Reads that for a view, at most once in FRESH seconds."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._umbel = dashboard.umbel
        self._lock = asyncio.Lock()
        self._found: tuple[float, Sequence[str], Recent] | None = None

    async def read(self, names: Sequence[str]) -> Recent:
        """Of these queues. Raises StoreUnavailable."""
        async with self._lock:
            found = self._found
            if found is None or time.monotonic() >= found[0] or found[1] != names:
                umbel = self._umbel
                recent = await umbel.reading(read_recent, umbel.db, names, time.time())
                self._found = found = time.monotonic() + FRESH, names, recent
            return found[2]


class QueuesView:
    """The view of all queues."""

    key = "queues"
    every = 1.0

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._recently = Recently(dashboard)

    def take(self, news: Digest | None) -> bool:
        return news is None or "queue" in news.kinds

    async def fragments(self) -> dict[str, Markup]:
        whole = await self._dashboard.shell.whole()
        page = await read_list(whole.queues, self._recently)
        return {"queues": self._dashboard.render("queues/_queues.html", page=page)}


class QueueView:
    """The view of one queue, with charts of a time."""

    every = 1.0
    parts = ("head", "warnings", "queue", "ended", "latest")

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
        self._recently = Recently(dashboard)
        self.charting = Charting(dashboard, Kind.QUEUE, name, range_of(pairs))
        self.key = queue_path(name).removeprefix("/ui/") + self.charting.query

    def take(self, news: Digest | None) -> bool:
        return news is None or "queue" in news.kinds or self._name in news.queues

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard, self._name, self.charting, self._recently)
        render = self._dashboard.render
        shown = {part: f"queues/_{part}.html" for part in self.parts}
        shown["ended"] = "overview/_ended.html"
        return {part: render(each, page=page, plain=self._plain) for part, each in shown.items()}


def read_recent(db: Database, names: Sequence[str], now: float) -> Recent:
    """Reads it. Raises StoreUnavailable."""
    minutes = queues.recent_depths(db, names, now - SPARK * 60, now + 60)
    ended = figures.by_label(db, Kind.QUEUE, now - WINDOW, now)
    return Recent(dict(minutes), ended)


def measured(queue: Queue, recent: Recent | None = None) -> Measured:
    """The queue with a word on its figures."""
    now = time.time()
    fresh = now - queue.measured_at < STALE
    if recent is None:
        return Measured(queue, fresh)
    minutes = recent.minutes.get(queue.name, ())
    trend = trend_of(queue, minutes, recent.ended.get(queue.name), now) if fresh else Trend()
    return Measured(queue, fresh, trend, spark_of(minutes, now))


async def read_list(known: Sequence[Queue], recently: Recently) -> QueuesPage:
    """Reads the list. Raises StoreUnavailable."""
    ordered = sorted(known, key=lambda queue: (-queue.waiting, queue.name))[:LISTED]
    recent = await recently.read([queue.name for queue in ordered])
    found = [measured(queue, recent) for queue in ordered]
    found.sort(key=lambda one: not (one.unread and one.queue.waiting))
    return QueuesPage(tuple(found), max(0, len(known) - LISTED))


async def read_page(
    dashboard: Dashboard, name: str, charting: Charting, recently: Recently
) -> QueuePage:
    """Reads it all. Raises NotFound."""
    umbel = dashboard.umbel
    queue, latest, recent, ended = await asyncio.gather(
        umbel.reading(queues.get, umbel.db, name),
        umbel.reading(tasks.page, umbel.db, TaskFilter(queues=(name,)), limit=LATEST),
        recently.read([name]),
        charting.read(),
    )
    if queue is None:
        raise NotFound(f"No queue {name[:100]!r} has been heard of.")
    span = ended.chart.span
    depths = await umbel.reading(
        queues.depths_by_step, umbel.db, name, span.first, span.end, span.step
    )
    one = measured(queue, recent)
    return QueuePage(one, tuple(latest.tasks), with_depth(ended, depths, queue, one.fresh))


@router.get("/ui/queues", include_in_schema=False)
async def index(request: Request) -> Response:
    """All queues."""
    dashboard = dashboard_of(request)
    return await dashboard.page(request, "queues/index.html", QueuesView(dashboard))


@router.get("/ui/queues/{name:path}", include_in_schema=False)
async def show(request: Request, name: str) -> Response:
    """One queue."""
    dashboard = dashboard_of(request)
    view = QueueView(dashboard, name, request.query_params.multi_items(), plain=True)
    return await dashboard.page(
        request,
        "queues/show.html",
        view,
        name=name,
        charting=view.charting,
        ranges=tuple(RANGES.values()),
    )
