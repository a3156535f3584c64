"""Saved views of the list of tasks: a name for a search, an order and columns, for everybody."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Path, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from app.domain.columns import Column
from app.domain.errors import NotFound
from app.domain.filters import Sort
from app.domain.views import MAX_VIEWS, SavedView, read_view
from app.store import views
from app.web.api.answers import JSON
from app.web.api.bodies import NamedView, View
from app.web.api.decode import decode
from app.web.api.submit import actor_of
from app.web.openapi import documented
from app.web.state import umbel_of

ViewName = Annotated[str, Path(description="The view's name")]

router = APIRouter(tags=["views"])


class ViewLinks(Struct, frozen=True, rename={"self_": "self"}):
    """Where a view is read."""

    self_: str


class ViewJson(Struct, frozen=True):
    """A saved view. `q`, `sort` and `columns` are those of `GET /tasks` and of the page."""

    name: str
    q: str
    sort: Sort
    columns: list[Column]
    links: ViewLinks


class ViewList(Struct, frozen=True):
    """All views, by name."""

    views: Annotated[list[ViewJson], Meta(max_length=MAX_VIEWS)]


@router.get("/views", **documented("List views", answers={200: ViewList}, problems=(503,)))
async def list_views(request: Request) -> Response:
    """The views that are kept for everybody."""
    umbel = umbel_of(request)
    found = await umbel.reading(views.list_all, umbel.db)
    return _answer(ViewList([_json(view) for view in found]))


@router.post(
    "/views",
    **documented(
        "Save a view",
        body=NamedView,
        answers={201: ViewJson},
        problems=(409, 413, 422, 503),
        headers={"Location": "Where the view is read"},
    ),
)
async def add_view(request: Request) -> Response:
    """Keeps a new one; 409 where there is one of that name, or as many as are kept."""
    body = decode(await request.body(), NamedView)
    view = read_view(body.name, body.q, body.sort, body.columns)
    await umbel_of(request).operations.save_view(actor_of(request.scope), view)
    found = _json(view)
    answer = _answer(found, 201)
    answer.headers["Location"] = found.links.self_
    return answer


@router.get(
    "/views/{name:path}",
    **documented("Read a view", answers={200: ViewJson}, problems=(404, 422, 503)),
)
async def show_view(request: Request, name: ViewName) -> Response:
    """One of them."""
    umbel = umbel_of(request)
    for view in await umbel.reading(views.list_all, umbel.db):
        if view.name == name:
            return _answer(_json(view))
    raise NotFound(f"There is no view {name[:100]!r}.")


@router.put(
    "/views/{name:path}",
    **documented(
        "Save or replace a view",
        body=View,
        answers={200: ViewJson, 201: ViewJson},
        problems=(409, 413, 422, 503),
    ),
)
async def put_view(request: Request, name: ViewName) -> Response:
    """Keeps it under that name, whether there is one already or not."""
    body = decode(await request.body(), View)
    view = read_view(name, body.q, body.sort, body.columns)
    actor = actor_of(request.scope)
    made = await umbel_of(request).operations.save_view(actor, view, replace=True)
    return _answer(_json(view), 201 if made else 200)


@router.delete(
    "/views/{name:path}",
    **documented("Remove a view", answers={204: None}, problems=(403, 404, 422, 503)),
)
async def remove_view(request: Request, name: ViewName) -> Response:
    """Takes it away for everybody."""
    await umbel_of(request).operations.remove_view(actor_of(request.scope), name)
    return Response(status_code=204)


def _json(view: SavedView) -> ViewJson:
    links = ViewLinks("/views/" + quote(view.name, safe=""))
    return ViewJson(view.name, view.search, view.sort, list(view.columns.names), links)


def _answer(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)
