"""One task: its story as it happens, and what can be done about it."""

import time
from functools import partial

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from app.domain.errors import BadInput, UmbelError
from app.store.relatives import Relatives
from app.web.api.tasks import read_whole
from app.web.errors import status_of
from app.web.pages import actions
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.json_text import SHOWN_LIMIT, pretty
from app.web.pages.render import task_path
from app.web.pages.snippets import write_snippets
from app.web.pages.task_page import TaskPage, read_page
from app.web.pages.values import Shown
from app.web.tasks import find_task

SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGUSR1")
"""Offered for ending a running task: ask it, force it, interrupt it, soft time limit."""
EDIT_LIMIT = 16 * 1024
"""Characters of arguments that a form repeats; nobody edits longer ones by hand."""
RELATIVES_FRESH = 5.0
"""Seconds after which the relatives of a task are read anew though none is known to have changed:
others of its name or group come without a word of this one."""

router = APIRouter()


class TaskView:
    """The view of one task."""

    every = 0.2
    """Seconds. Each time it is read anew, with what belongs to it."""
    parts = ("head", "progress", "story", "error", "values", "facts", "related")

    def __init__(self, dashboard: Dashboard, task_id: str) -> None:
        self._dashboard = dashboard
        self._id = task_id
        self._shown = Shown()
        self._relatives: Relatives | None = None
        self._relatives_due = 0.0
        self.key = task_path(task_id).removeprefix("/ui/")

    def take(self, news: Digest | None) -> bool:
        if news is None:
            self._relatives = None
            return True
        known = self._relatives.ids if self._relatives is not None else frozenset()
        if self._id in news.relatives or not known.isdisjoint(news.tasks):
            self._relatives = None
        return self._relatives is None or news.concerns(self._id)

    async def fragments(self) -> dict[str, Markup]:
        page = await self._read()
        render = self._dashboard.render
        return {
            part: render(f"task/_{part}.html", page=page, signals=SIGNALS) for part in self.parts
        }

    async def _read(self) -> TaskPage:
        if time.monotonic() >= self._relatives_due:
            self._relatives = None
        if self._relatives is None:
            self._relatives_due = time.monotonic() + RELATIVES_FRESH
        page = await read_page(self._dashboard, self._id, self._shown, self._relatives)
        self._relatives = page.relatives
        return page


@router.get("/ui/tasks/{task_id:path}", include_in_schema=False)
async def show(request: Request, task_id: str) -> Response:
    """The page."""
    return await _show(request, task_id)


@router.get("/ui/raw/{task_id:path}", include_in_schema=False)
async def raw(request: Request, task_id: str) -> Response:
    """What REST answers about it, to be read by people: each number and text as it stands."""
    dashboard = dashboard_of(request)
    task = await find_task(dashboard.umbel, task_id)
    body = await dashboard.umbel.reading(read_whole, dashboard.umbel.db, task)
    text = body.decode(errors="replace")
    shown = {"task_id": task_id, "text": pretty(text), "cut": len(text) > SHOWN_LIMIT}
    if "hx-request" not in request.headers:
        return await dashboard.page(request, "task/raw.html", raw=shown)
    part = dashboard.render("task/_raw.html", raw=shown).encode(errors="replace")
    headers = {"Cache-Control": "no-store"}
    return Response(part, headers=headers, media_type="text/html; charset=utf-8")


@router.post("/ui/tasks/{task_id:path}/revoke", include_in_schema=False)
async def revoke(request: Request, task_id: str) -> Response:
    """Asks the workers to drop it, or with `terminate` to end it while it runs."""
    dashboard, form = dashboard_of(request), await request.form()
    terminate = form.get("terminate") == "yes"
    signal = str(form.get("signal") or SIGNALS[0])
    try:
        await actions.revoke(dashboard, request, task_id, terminate=terminate, signal=signal)
    except UmbelError as error:
        return await _show(request, task_id, error=error)
    return RedirectResponse(task_path(task_id), 303)


@router.post("/ui/tasks/{task_id:path}/retry", include_in_schema=False)
async def retry(request: Request, task_id: str) -> Response:
    """Runs it again, with other arguments where the form gives them."""
    dashboard, form = dashboard_of(request), await request.form()
    given = {name: str(form[name]) for name in ("args", "kwargs", "queue") if form.get(name)}
    try:
        new_id = await actions.retry(dashboard, request, task_id, given)
    except UmbelError as error:
        return await _show(request, task_id, error=error, given=given)
    return RedirectResponse(task_path(new_id), 303)


async def _show(
    request: Request,
    task_id: str,
    *,
    error: UmbelError | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    dashboard = dashboard_of(request)
    find = partial(find_task, dashboard.umbel, task_id)
    task, as_of = await dashboard.recall(f"task {task_id}", find)
    return await dashboard.page(
        request,
        "task/show.html",
        TaskView(dashboard, task_id),
        as_of=as_of,
        status=200 if error is None else status_of(error),
        task=task,
        parts=TaskView.parts,
        error=error,
        field_errors=error.errors if isinstance(error, BadInput) else (),
        snippets=write_snippets(task, str(request.base_url)),
        given=given or {"args": _editable(task.args), "kwargs": _editable(task.kwargs)},
        editing=given is not None,
    )


def _editable(value: str | None) -> str:
    return value if value is not None and len(value) <= EDIT_LIMIT else ""
