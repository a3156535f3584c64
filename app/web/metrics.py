"""`GET /metrics`: what `app.web.exposition` makes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.openapi import documented
from app.web.state import umbel_of

router = APIRouter(tags=["health"])


@router.get("/metrics", **documented("Figures for Prometheus", answers={200: "text/plain"}))
async def show_metrics(request: Request) -> Response:
    """Answers also while parts are away: `umbel_up` says which."""
    # The client brings a web server of its own: a start does not wait for that.
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    from app.web.exposition import expose

    return Response(await expose(umbel_of(request)), media_type=CONTENT_TYPE_LATEST)
