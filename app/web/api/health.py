"""Whether the process is up, and whether events are flowing."""

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.feed.times import moment
from app.web.errors import PROBLEM
from app.web.health import Part
from app.web.openapi import documented
from app.web.state import umbel_of

router = APIRouter(tags=["health"])


class PartJson(msgspec.Struct, frozen=True):
    """Whether a part is well, since when that is so, and why not."""

    ok: bool
    since: str | None
    reason: str | None


class Ready(msgspec.Struct, frozen=True):
    """Every part that events flow through; `warnings` are what is not well all the same."""

    status: str
    broker: PartJson
    store: PartJson
    recorder: PartJson
    warnings: list[str]


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document that also carries every part."""

    type: str = "about:blank"
    title: str = "Events are not flowing"
    status: int = 503
    detail: str
    instance: str
    broker: PartJson
    store: PartJson
    recorder: PartJson
    warnings: list[str]


class Alive(msgspec.Struct, frozen=True):
    """The process is up."""

    status: str
    version: str
    started_at: str | None


@router.get(
    "/healthz",
    **documented("Whether the process is up", answers={200: Alive}),
)
async def show_alive(request: Request) -> Response:
    """Answers as long as the process can answer, whatever else is down."""
    umbel = umbel_of(request)
    found = Alive("ok", umbel.version, moment(umbel.started_at))
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get(
    "/readyz",
    **documented("Whether events are flowing", answers={200: Ready, 503: NotReady}),
)
async def show_ready(request: Request) -> Response:
    """Broker, store and recorder, each said with since and reason; 503 unless all are well.

    Ready means that what happens is heard, kept and announced. Being late, healing a time in
    which nobody listened, or not having judged some tasks are warnings: no other process would
    serve them better, so they are no reason to send anybody elsewhere.
    """
    health = umbel_of(request).health
    broker, store, recorder = map(_shown, (health.broker, health.store, health.recorder))
    if health.ready:
        body = msgspec.json.encode(Ready("ready", broker, store, recorder, health.warnings))
        return Response(body, media_type="application/json")
    refusal = NotReady(
        detail=health.reason,
        instance="/readyz",
        broker=broker,
        store=store,
        recorder=recorder,
        warnings=health.warnings,
    )
    return Response(msgspec.json.encode(refusal), 503, {"Retry-After": "2"}, media_type=PROBLEM)


def _shown(part: Part) -> PartJson:
    return PartJson(part.ok, moment(part.since), part.reason or None)
