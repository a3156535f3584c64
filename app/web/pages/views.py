"""Saved views in the list's menu: opened, saved, removed for everybody; one opened first here."""

import time
from dataclasses import dataclass
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.domain.views import SavedView, read_view
from app.web.pages.actions import actor_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.query import Query, address_of, read_query
from app.web.pages.reader import YEAR

COOKIE = "umbel_view"
"""The name of the view that this browser opens the list with. Whose else should it be? There is
no login yet."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Offered:
    """A view in the menu: `chosen` where it is what the page shows, `first` where it is what this
    browser opens the list with."""

    name: str
    address: str
    chosen: bool
    first: bool


async def offered(dashboard: Dashboard, request: Request, query: Query) -> list[Offered]:
    """All views."""
    here, first = query.pairs, _first(request)
    return [
        Offered(view.name, path_of(view), _pairs(view) == here, view.name == first)
        for view in await dashboard.known_views.get()
    ]


async def default_of(dashboard: Dashboard, request: Request) -> str | None:
    """The address that this browser opens the list with; None: all tasks."""
    first = _first(request)
    if first is None:
        return None
    found = [view for view in await dashboard.known_views.get() if view.name == first]
    return path_of(found[0]) if found else None


@router.post("/ui/views", include_in_schema=False)
async def save(request: Request) -> Response:
    """Keeps what the list shows under a name. Raises BadInput, Conflict, Unavailable."""
    dashboard, form = dashboard_of(request), await request.form()
    view = read_view(
        str(form.get("name", "")),
        str(form.get("q", "")),
        str(form.get("sort", "")) or None,
        [str(one) for one in form.getlist("columns")],
    )
    replace = form.get("replace") == "yes"
    await dashboard.umbel.operations.save_view(actor_of(request), view, replace=replace)
    dashboard.known_views.forget()
    return RedirectResponse(address_of(_pairs(view)), 303)


@router.post("/ui/views/remove", include_in_schema=False)
async def remove(request: Request) -> Response:
    """Takes one away for everybody. Raises NotFound, Unavailable."""
    dashboard, form = dashboard_of(request), await request.form()
    await dashboard.umbel.operations.remove_view(actor_of(request), str(form.get("name", "")))
    dashboard.known_views.forget()
    return RedirectResponse(address_of(()), 303)


@router.post("/ui/views/first", include_in_schema=False)
async def choose(request: Request) -> Response:
    """Has this browser open the list with a view, or with all tasks where none is named."""
    dashboard, form = dashboard_of(request), await request.form()
    name = str(form.get("name", ""))
    found = [view for view in await dashboard.known_views.get() if view.name == name]
    answer = RedirectResponse(address_of(_pairs(found[0]) if found else ()), 303)
    if found:
        answer.set_cookie(COOKIE, quote(name), max_age=YEAR, path="/", samesite="lax")
    else:
        answer.delete_cookie(COOKIE, path="/")
    return answer


def _first(request: Request) -> str | None:
    name = request.cookies.get(COOKIE)
    return unquote(name) if name else None


def path_of(view: SavedView) -> str:
    """The address of the list as a view has it."""
    return address_of(_pairs(view))


def _pairs(view: SavedView) -> list[tuple[str, str]]:
    pairs = [("q", view.search), ("sort", view.sort.value), ("columns", str(view.columns))]
    return read_query(pairs, time.time()).pairs
