"""Data quality: whether Umbel hears, what it missed, and how that was made good."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import StoreUnavailable
from app.feed.replicas import Replica
from app.store.blind_windows import EVENTS, STREAM, BlindWindow
from app.web.health import Part
from app.web.language import gettext as _
from app.web.language import marked, text
from app.web.pages import quality_figures as figures
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.formats import amount
from app.web.pages.quality_figures import Figure, Grade, Section
from app.web.quality import Known

CAUSES = {
    "started": marked("No recorder was running."),
    "disconnected": marked("The connection to Redis was cut, or Redis threw the listener off."),
    "restarted": marked("Redis was restarted."),
    "overload": marked("Events came faster than they could be kept."),
    "dropped": marked("A process could not write down all its events."),
    "withheld": marked("A process published events that it could not write into the stream."),
    "trimmed": marked("The stream was cut before it had been read."),
    "forgotten": marked("Redis no longer had the stream at the place that was read last."),
}
"""What the causes of blind windows mean; one that is not here is shown as it is."""
STORE_PATIENCE = 2.5
"""Seconds until the page goes on without a store that does not answer."""
SOURCES = {
    EVENTS: marked("events on pub/sub"),
    STREAM: marked("the stream of durable events"),
}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Window:
    """A blind window in words."""

    window: BlindWindow
    cause: str
    source: str
    seconds: float | None
    healed_after: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class QualityPage:
    """All that the page shows. None: it can't be told now, `store` or `recorder` say since when."""

    sections: tuple[Section, ...]
    troubled: tuple[Figure, ...]
    windows: tuple[Window, ...] | None
    replicas: tuple[Replica, ...] | None
    recorder: Part
    store: Part
    broker: Part


class QualityView:
    """The view of data quality; everybody shares it."""

    key = "data-quality"
    every = 1.0
    parts = ("verdict", "windows", "replicas")

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def take(self, news: Digest | None) -> bool:
        return True  # lag and rate move without any change

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard)
        render = self._dashboard.render
        found = {part: render(f"quality/_{part}.html", page=page) for part in self.parts}
        for section in page.sections:
            found[section.key] = render("quality/_section.html", section=section)
        return found


async def read_page(dashboard: Dashboard) -> QualityPage:
    """Reads it all; what is away is told by the page itself, so that it is never away."""
    umbel = dashboard.umbel
    health, status = umbel.health, umbel.tail.recorder
    known: Known | None = None
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(STORE_PATIENCE):
            known = None if dashboard.shell.away() else await umbel.quality.read()
    sections = (
        figures.hearing(health, status),
        figures.dropping(health, status),
        figures.ways(health, status),
        figures.known_stories(health, known),
        figures.healing(health, status, known),
        figures.kept(health, umbel.db.engine.dialect.name),
    )
    every = [figure for section in sections for figure in section.figures]
    return QualityPage(
        sections=sections,
        troubled=tuple(figure for figure in every if figure.grade is Grade.BAD),
        windows=None if known is None else tuple(map(in_words, known.windows)),
        replicas=umbel.tail.replicas,
        recorder=health.recorder,
        store=health.store,
        broker=health.broker,
    )


def in_words(window: BlindWindow) -> Window:
    """The window as the page tells it."""
    ended, healed = window.ended_at, window.healed_at
    return Window(
        window=window,
        cause=text(CAUSES[window.cause]) if window.cause in CAUSES else window.cause,
        source=_source(window.source),
        seconds=None if ended is None else max(0.0, ended - window.began_at),
        healed_after=None if healed is None else max(0.0, healed - (ended or window.began_at)),
        outcome=_outcome(window),
    )


def _source(source: str) -> str:
    """`w1@host|123|0a1b2c3d` as people say it."""
    if source in SOURCES:
        return text(SOURCES[source])
    host, process = (*source.split("|"), "")[:2]
    return _("%(host)s, process %(pid)s", host=host, pid=process) if process else host


def _outcome(window: BlindWindow) -> str:
    told = [count for count in (window.found, window.ended, window.lost) if count is not None]
    if not told:
        return ""
    if not any(told):
        return _("No task had changed.")
    found, ended, lost = window.found or 0, window.ended or 0, window.lost or 0
    some = [
        _("%(count)s found that nobody had heard of", count=amount(found)) if found else "",
        _("%(count)s turned out to have ended", count=amount(ended)) if ended else "",
        _("%(count)s given up as lost", count=amount(lost)) if lost else "",
    ]
    return _("Tasks: %(some)s.", some=_(", ").join(each for each in some if each))


@router.get("/ui/data-quality", include_in_schema=False)
async def show(request: Request) -> Response:
    """The page."""
    dashboard = dashboard_of(request)
    view = QualityView(dashboard)
    return await dashboard.page(request, "quality/show.html", view, recalled=False)
