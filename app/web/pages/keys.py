"""What keys do: a page of its own, and the sheet that `?` opens. `static/js/keys.js` does it."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from app.web.language import gettext as _
from app.web.pages.dashboard import dashboard_of

Keys = tuple[tuple[str, ...], str]
"""Keys pressed one after the other, or either of them, and what that does."""

router = APIRouter()


@router.get("/ui/keys", include_in_schema=False)
async def index(request: Request, part: str = "") -> Response:
    """The page, or with `part=sheet` what stands in the sheet."""
    dashboard = dashboard_of(request)
    if part == "sheet":
        sheet = dashboard.render("keys/sheet.html", groups=groups())
        return HTMLResponse(sheet, headers={"Cache-Control": "no-store"})
    return await dashboard.page(request, "keys/index.html", groups=groups())


def groups() -> Sequence[tuple[str, Sequence[Keys]]]:
    """All keys by where they work."""
    return (
        (
            _("Everywhere"),
            (
                (("Ctrl", "K"), _("Find anything: pages, tasks, queues, workers, actions")),
                (("/",), _("Search tasks")),
                (("g", "o"), _("Go to the overview")),
                (("g", "t"), _("Go to the tasks")),
                (("g", "q"), _("Go to the queues")),
                (("g", "w"), _("Go to the workers")),
                (("g", "s"), _("Go to the page for submitting")),
                (("g", "d"), _("Go to data quality")),
                (("?",), _("Show these keys")),
                (("Esc",), _("Close, or go back to the list")),
            ),
        ),
        (
            _("In lists"),
            (
                (("j", "k"), _("Next row, previous row")),
                (("Enter",), _("Open it")),
                (("x", "X"), _("Select it; with Shift all from the last one on")),
                (("v", "Space"), _("Look at a task beside the list")),
                (("n", "p"), _("Next page, first page")),
                ((".",), _("Show what is new")),
            ),
        ),
        (
            _("On a task, or its row"),
            (
                (("r",), _("Run it again")),
                (("e",), _("Change its arguments and run it again")),
                (("s",), _("Revoke it")),
                (("c",), _("Copy its id")),
            ),
        ),
    )
