"""Markers: what happened at a moment, such as a deployment, drawn on every chart."""

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from app.domain.filters import parse_filter
from app.feed.times import moment
from app.store import markers
from app.store.markers import KEPT, Marker
from app.web.api.answers import JSON
from app.web.api.bodies import Mark
from app.web.api.decode import decode
from app.web.api.submit import actor_of, moment_of
from app.web.openapi import documented, query
from app.web.state import umbel_of

SPAN = [
    query("since", "From then on: RFC 3339, or an age such as `7d`", {"type": "string"}),
    query("until", "Before then", {"type": "string"}),
]

router = APIRouter(tags=["markers"])


class MarkerJson(Struct, frozen=True):
    """Something that happened at a moment."""

    id: int
    at: str | None
    title: str
    version: str | None
    url: str | None


class MarkerList(Struct, frozen=True):
    """Markers, the newest first."""

    markers: Annotated[list[MarkerJson], Meta(max_length=KEPT)]


@router.post(
    "/markers",
    **documented("Mark a moment", body=Mark, answers={201: MarkerJson}, problems=(413, 422, 503)),
)
async def add_marker(request: Request) -> Response:
    """Says that something happened, now or at `at`; charts show it from then on."""
    now = time.time()
    body = decode(await request.body(), Mark)
    at = moment_of(body.at, ("body", "at"), now)
    given = Marker(
        at=now if at is None else at, title=body.title, version=body.version, url=body.url
    )
    made = await umbel_of(request).operations.mark(actor_of(request.scope), given)
    return Response(msgspec.json.encode(_json(made)), 201, media_type=JSON)


@router.get(
    "/markers",
    **documented("List markers", answers={200: MarkerList}, problems=(422, 503), parameters=SPAN),
)
async def list_markers(request: Request) -> Response:
    """All that are kept, or those of a time."""
    umbel = umbel_of(request)
    pairs = request.query_params.multi_items()
    span = parse_filter([one for one in pairs if one[0] in ("since", "until")], time.time())
    found = await umbel.reading(markers.between, umbel.db, span.since, span.until)
    body = msgspec.json.encode(MarkerList([_json(each) for each in found]))
    return Response(body, media_type=JSON)


@router.delete(
    "/markers/{marker_id}",
    **documented("Take a marker away", answers={204: None}, problems=(403, 404, 422, 503)),
)
async def remove_marker(
    request: Request, marker_id: Annotated[int, Path(ge=1, lt=2**63, description="Its id")]
) -> Response:
    """Charts no longer show it."""
    await umbel_of(request).operations.unmark(actor_of(request.scope), marker_id)
    return Response(status_code=204)


def _json(marker: Marker) -> MarkerJson:
    return MarkerJson(marker.id, moment(marker.at), marker.title, marker.version, marker.url)
