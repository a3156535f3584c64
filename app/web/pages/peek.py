"""A task beside the list: what is asked of it most, without leaving the list."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound, Unavailable
from app.domain.tasks import Task, TaskState
from app.store.lost import reason_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.tasks import find_task

SHOWN = 8 * 1024
"""Characters of a value in the panel: some screens of it; the task's page has the rest."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Value:
    """What a task was given or gave back: JSON, or a text where only that is known."""

    json: str | None
    text: str | None

    @property
    def is_cut(self) -> bool:
        """There is more than is shown."""
        return len(self.json or self.text or "") > SHOWN

    @property
    def shown(self) -> str:
        """Of a text, or of JSON too long to be laid out, the beginning."""
        return (self.json or self.text or "")[:SHOWN]


@dataclass(frozen=True, slots=True)
class Peek:
    """What the panel shows; `task` None: nobody has heard of it, or it can't be read now."""

    id: str
    task: Task | None
    lost_because: str | None = None

    @property
    def values(self) -> dict[str, Value]:
        """What it was given and gave back, by field; only what is known."""
        task = self.task
        if task is None:
            return {}
        found = {
            "args": Value(task.args, task.args_repr),
            "kwargs": Value(task.kwargs, task.kwargs_repr),
            "result": Value(task.result, task.result_repr),
        }
        return {name: value for name, value in found.items() if value.json or value.text}


async def peek_at(dashboard: Dashboard, task_id: str | None) -> Peek | None:
    """The panel of an address; None where it asks for none."""
    if not task_id:
        return None
    try:
        task = await find_task(dashboard.umbel, task_id)
    except (NotFound, Unavailable):
        return Peek(task_id, None)
    lost = reason_of(task.transitions) if task.state is TaskState.LOST else None
    return Peek(task_id, task, lost)


@router.get("/ui/peek/{task_id:path}", include_in_schema=False)
async def panel(request: Request, task_id: str) -> Response:
    """The panel alone, for a page that is open already."""
    dashboard = dashboard_of(request)
    peek = await peek_at(dashboard, task_id)
    body = dashboard.render("tasks/_peek.html", peek=peek, closed="/ui/tasks?q=")
    headers = {"Cache-Control": "no-store"}
    return Response(
        body.encode(errors="replace"), headers=headers, media_type="text/html; charset=utf-8"
    )
