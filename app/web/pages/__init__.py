"""The dashboard: pages that work as plain links and forms, and stay live while they are open."""

from fastapi import APIRouter, FastAPI

from app.web.errors import PageMaker
from app.web.pages import overview, queues, stream, submit, task, tasks, workers
from app.web.pages.assets import StaticAssets
from app.web.pages.dashboard import error_page

router = APIRouter(include_in_schema=False)
for part in (overview, stream, submit, tasks, task, workers, queues):
    router.include_router(part.router)


def install_pages(app: FastAPI) -> PageMaker:
    """Adds the pages and their files; gives what makes a page of an error."""
    app.state.assets = StaticAssets()
    app.mount(app.state.assets.mount, app.state.assets)
    app.include_router(router)
    return error_page
