"""One task: its story as it happens, and what can be done about it."""

import asyncio
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from app.domain.errors import BadInput, UmbelError
from app.domain.tasks import RUNNING, Task, TaskState
from app.operations.revoke import is_open
from app.store import audit, tasks
from app.store.audit import AuditEntry
from app.store.lost import reason_of
from app.web.errors import status_of
from app.web.language import gettext as _
from app.web.language import marked
from app.web.pages import actions
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.json_text import SHOWN_LIMIT
from app.web.pages.render import task_path
from app.web.pages.states import state_word
from app.web.pages.story import Story, tell
from app.web.tasks import find_task

RELATED = 50
"""Children, retries and requests shown; a task that sends thousands has its own list for that."""
SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGUSR1")
"""Offered for ending a running task: ask it, force it, interrupt it, soft time limit."""

EDIT_LIMIT = 16 * 1024
"""Characters of arguments that a form repeats; nobody edits longer ones by hand."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a task was given or gave back: JSON, or a repr where only that is known."""

    name: str
    json: str | None
    text: str | None

    @property
    def length(self) -> int:
        return len(self.json or self.text or "")

    @property
    def shown(self) -> str:
        """Of a repr, as much as is shown."""
        return (self.text or "")[:SHOWN_LIMIT]

    @property
    def is_cut(self) -> bool:
        return self.length > SHOWN_LIMIT


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be done now: None, or why not."""

    revoke: str | None
    terminate: str | None
    retry: str | None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """All that the page of one task shows."""

    task: Task
    story: Story
    values: tuple[Value, ...]
    allowed: Allowed
    requests: tuple[AuditEntry, ...]
    pending: tuple[AuditEntry, ...]
    children: tuple[Task, ...]
    retries: tuple[Task, ...]
    lost_because: str | None


class TaskView:
    """The view of one task."""

    every = 0.2
    """Seconds. Each time it is read anew, with what belongs to it."""
    parts = ("head", "progress", "story", "facts", "values", "related")

    def __init__(self, dashboard: Dashboard, task_id: str) -> None:
        self._dashboard = dashboard
        self._id = task_id
        self.key = task_path(task_id).removeprefix("/ui/")

    def take(self, news: Digest | None) -> bool:
        return news is None or news.concerns(self._id)

    async def fragments(self) -> dict[str, Markup]:
        context = await read_page(self._dashboard, self._id)
        render = self._dashboard.render
        return {
            part: render(f"task/_{part}.html", page=context, signals=SIGNALS) for part in self.parts
        }


async def read_page(dashboard: Dashboard, task_id: str) -> TaskPage:
    """Reads it all. Raises NotFound."""
    umbel = dashboard.umbel
    task = await find_task(umbel, task_id)
    requests, children, retries = await asyncio.gather(
        umbel.reading(audit.entries, umbel.db, task_id, RELATED),
        umbel.reading(tasks.children, umbel.db, task_id, RELATED),
        umbel.reading(tasks.retries_of, umbel.db, task_id, RELATED),
    )
    values = (
        Value(marked("Result"), task.result, task.result_repr),
        Value(marked("Arguments"), task.args, task.args_repr),
        Value(marked("Keyword arguments"), task.kwargs, task.kwargs_repr),
    )
    shown = [entry for entry in requests if entry.action in actions.SHOWN]
    asked = [entry for entry in shown if entry.action in actions.REQUESTS]
    return TaskPage(
        task=task,
        story=tell(task),
        values=values,
        allowed=allowed(task),
        requests=tuple(shown),
        pending=tuple(asked) if is_open(task) else (),
        children=tuple(children),
        retries=tuple(retries),
        lost_because=reason_of(task.transitions) if task.state is TaskState.LOST else None,
    )


def allowed(task: Task) -> Allowed:
    """What may be done to a task in its present state."""
    ended = (
        None if is_open(task) else _("It has ended: %(state)s.", state=state_word(task.state.value))
    )
    running = None if task.state in RUNNING else _("It is not running now.")
    if task.name is None:
        again: str | None = _("Its name is not known yet.")
    elif not task.state.ended:
        again = _("It has not ended yet.")
    elif _only_repr(task.args, task.args_repr) or _only_repr(task.kwargs, task.kwargs_repr):
        again = _("Only a shortened text of its arguments is known: give them below.")
    else:
        again = None
    return Allowed(ended, ended or running, again)


@router.get("/ui/tasks/{task_id:path}", include_in_schema=False)
async def show(request: Request, task_id: str) -> Response:
    """The page."""
    return await _show(request, task_id)


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
        given=given or {"args": _editable(task.args), "kwargs": _editable(task.kwargs)},
        editing=given is not None,
    )


def _editable(value: str | None) -> str:
    return value if value is not None and len(value) <= EDIT_LIMIT else ""


def _only_repr(value: str | None, text: str | None) -> bool:
    return value is None and text not in (None, "", "()", "[]", "{}")
