"""The pages of one web process: templates, what surrounds every page, and the live views."""

import asyncio
from collections import OrderedDict
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.columns import Columns
from app.feed.tailed import Tailed
from app.web.compared import Comparison
from app.web.errors import Problem
from app.web.figures import Charts
from app.web.language import LANGUAGES, language
from app.web.pages.alarm import Alarm
from app.web.pages.assets import StaticAssets
from app.web.pages.known_views import KnownViews
from app.web.pages.live import LiveViews
from app.web.pages.reader import chosen_of, speak_to
from app.web.pages.recall import Recall
from app.web.pages.render import Fragments, Templates
from app.web.pages.rendering import View
from app.web.pages.shell import Shell
from app.web.state import Umbel, umbel_of
from app.web.usual import Usuals

ROWS_KEPT = 2_000
"""Rendered rows of changed tasks kept for the other views that show them: about two MiB."""
THEMES = ("light", "dark")
THEME_COOKIE = "umbel_theme"
DENSITIES = ("comfortable", "compact")
DENSITY_COOKIE = "umbel_density"


class Dashboard:
    """Made when the first page is asked for, kept as long as the application."""

    def __init__(self, umbel: Umbel, assets: StaticAssets) -> None:
        self.umbel = umbel
        self.render = Templates(assets)
        self.shell = Shell(umbel, self.render)
        self.charts = Charts(umbel.db, umbel.reading)
        self.comparison = Comparison(umbel.db, umbel.reading)
        self.alarm = Alarm(umbel, self.shell, self.comparison)
        self.shell.pressing = lambda: self.alarm.pressing
        self.shell.on_read(self.alarm.look)
        self.usuals = Usuals(umbel.db, umbel.reading)
        self.views = LiveViews(umbel.tail, self.shell)
        self.recall = Recall(self.shell.away)
        self.known_views = KnownViews(umbel.db, umbel.reading)
        self._rows: OrderedDict[tuple[str, str, int], Markup] = OrderedDict()

    def row(self, tailed: Tailed, columns: Columns) -> Markup:
        """The row of a changed task, rendered once for all views that show it so."""
        key = language(), columns.text, tailed.position
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self.render(
                "tasks/_row.html", task=tailed.task, reason=None, columns=columns.shown
            )
            if len(self._rows) > ROWS_KEPT:
                self._rows.popitem(last=False)
        return row

    async def page(
        self,
        request: Request,
        template: str,
        view: View | None = None,
        *,
        status: int = 200,
        as_of: float | None = None,
        recalled: bool = True,
        **context: object,
    ) -> Response:
        """A whole page, with the live parts of `view` as they are now.

        Where they can't be had it is the page as it was, and says so; `as_of` is when that was
        of something else that the page shows. Raises Unavailable where it was never shown.
        Not `recalled` is a view that tells by itself what is away.
        """
        _, (fragments, shown_at) = await asyncio.gather(
            self.shell.refresh(), self._fragments(view, recalled)
        )
        oldest = min((at for at in (as_of, shown_at) if at is not None), default=None)
        body = self.render(
            template,
            fragments={**self.shell.fragments, **fragments, "as-of": self.shell.as_of(oldest)},
            live=None if view is None else f"/ui/live/{language()}/{view.key}",
            theme=chosen_of(request, THEME_COOKIE, THEMES),
            density=chosen_of(request, DENSITY_COOKIE, DENSITIES),
            language=language(),
            languages=LANGUAGES,
            version=self.umbel.version,
            label=self.umbel.label,
            alarming=bool(self.alarm.pressing or self.shell.troubles()),
            pressing=self.alarm.pressing,
            retry=status == HTTPStatus.SERVICE_UNAVAILABLE,
            back=_address_of(request),
            **context,
        )
        # A name may hold half of a surrogate pair, which UTF-8 has no bytes for.
        data = body.encode(errors="replace")
        headers = {"Cache-Control": "no-store"}
        return Response(data, status, headers, media_type="text/html; charset=utf-8")

    async def _fragments(self, view: View | None, recalled: bool) -> tuple[Fragments, float | None]:
        if view is None:
            return {}, None
        if not recalled:
            return await view.fragments(), None
        return await self.recall(f"{language()} {view.key}", view.fragments)


def _address_of(request: Request) -> str:
    """Where a form of the page comes back to: the page itself, or where it was sent from."""
    path = quote(request.url.path, safe="/:@,~")
    if request.method != "GET":
        return path.removesuffix("/retry").removesuffix("/revoke")
    return f"{path}?{request.url.query}" if request.url.query else path


def dashboard_of(request: Request) -> Dashboard:
    """The dashboard of the application that this request reached."""
    state = request.app.state
    if getattr(state, "dashboard", None) is None:
        state.dashboard = Dashboard(umbel_of(request), state.assets)
    found: Dashboard = state.dashboard
    return found


async def error_page(request: Request, problem: Problem) -> Response:
    """What a browser is shown where a script would get a problem document."""
    await speak_to(request)
    phrase = HTTPStatus(problem.status).phrase
    return await dashboard_of(request).page(
        request, "errors/show.html", status=problem.status, problem=problem, phrase=phrase
    )
