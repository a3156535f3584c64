"""The dashboard: pages that work as plain links and forms, and stay live while they are open."""

from fastapi import APIRouter, Depends, FastAPI

from app.web.errors import PageMaker
from app.web.pages.assets import StaticAssets
from app.web.pages.dashboard import error_page
from app.web.pages.keys import router as of_keys
from app.web.pages.overview import router as of_overview
from app.web.pages.palette import router as of_palette
from app.web.pages.patterns import router as of_patterns
from app.web.pages.peek import router as of_peek
from app.web.pages.quality import router as of_quality
from app.web.pages.queues import router as of_queues
from app.web.pages.reader import router as of_reader
from app.web.pages.reader import speak_to
from app.web.pages.selected import router as of_selected
from app.web.pages.steps import router as of_steps
from app.web.pages.stream import route as live_stream
from app.web.pages.submit import router as of_submit
from app.web.pages.suggest import router as of_suggest
from app.web.pages.task import router as of_task
from app.web.pages.tasks import router as of_tasks
from app.web.pages.views import router as of_views
from app.web.pages.welcome import router as of_welcome
from app.web.pages.workers import router as of_workers

router = APIRouter(include_in_schema=False, dependencies=[Depends(speak_to)])
for part in (
    of_overview,
    of_steps,
    of_submit,
    of_views,
    of_peek,
    of_selected,
    of_tasks,
    of_suggest,
    of_task,
    of_workers,
    of_queues,
    of_quality,
    of_reader,
    of_welcome,
    of_patterns,
    of_keys,
    of_palette,
):
    router.include_router(part)


def install_pages(app: FastAPI) -> PageMaker:
    """Adds the pages and their files; gives what makes a page of an error."""
    app.state.assets = StaticAssets()
    app.mount(app.state.assets.mount, app.state.assets)
    app.include_router(router)
    app.router.routes.append(live_stream)
    return error_page
