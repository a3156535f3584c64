"""The live stream of a page: one for each open page, whatever it shows."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from app.domain.errors import NotFound
from app.web.pages import queues, task, tasks, workers
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.live import View
from app.web.pages.overview import OverviewView
from app.web.pages.quality import QualityView

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

router = APIRouter()


@router.get("/ui/live/{page:path}", include_in_schema=False)
async def follow(request: Request, page: str) -> Response:
    """Fragments of the page, whenever they look different."""
    dashboard = dashboard_of(request)
    view = view_of(dashboard, page, request.query_params.multi_items())
    dashboard.umbel.streams.check()
    dashboard.views.check(view)
    return StreamingResponse(
        _frames(dashboard, view), headers=HEADERS, media_type="text/event-stream"
    )


def view_of(dashboard: Dashboard, page: str, pairs: list[tuple[str, str]]) -> View:
    """The view that an address names. Raises NotFound, BadInput."""
    kind, _, name = page.partition("/")
    match kind, bool(name):
        case "overview", False:
            return OverviewView(dashboard)
        case "data-quality", False:
            return QualityView(dashboard)
        case "tasks", False:
            return tasks.follow(dashboard, pairs)
        case "tasks", True:
            return task.TaskView(dashboard, name)
        case "workers", False:
            return workers.WorkersView(dashboard)
        case "workers", True:
            return workers.WorkerView(dashboard, name)
        case "queues", False:
            return queues.QueuesView(dashboard)
        case "queues", True:
            return queues.QueueView(dashboard, name)
    raise NotFound(f"There is no live page {page[:100]!r}.")


async def _frames(dashboard: Dashboard, view: View) -> AsyncIterator[bytes]:
    with dashboard.umbel.streams.counted():
        async with aclosing(dashboard.views.follow(view)) as frames:
            async for frame in frames:
                yield frame
