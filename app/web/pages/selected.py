"""What is done to several tasks that were ticked: asked first, then done one by one and told."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import BadInput, FieldError, UmbelError, Unavailable
from app.domain.tasks import Task
from app.operations.actor import Actor
from app.store import tasks as stored
from app.web.language import gettext as _
from app.web.pages.actions import actor_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.task_page import allowed
from app.web.pages.tasklist import ROWS

router = APIRouter()


class Act(StrEnum):
    """What can be done to several."""

    REVOKE = "revoke"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Item:
    """One of the tasks. `why` it can't be done, or was refused; `new_id` of the task by which it
    is run again; `done` once it was."""

    id: str
    task: Task | None
    why: str | None = None
    done: bool = False
    new_id: str | None = None


@router.get("/ui/selected", include_in_schema=False)
async def ask(request: Request) -> Response:
    """Which of them it can be done to, and whether it should be. Changes nothing."""
    dashboard, given = dashboard_of(request), request.query_params
    act, ids = _read(given.get("act", ""), given.getlist("id"))
    items = await _items(dashboard, act, ids)
    return await _page(request, act, items, key=uuid.uuid4().hex)


@router.post("/ui/selected", include_in_schema=False)
async def do(request: Request) -> Response:
    """Does it, to one after the other; the same form sent again runs no task twice."""
    dashboard, form = dashboard_of(request), await request.form()
    act, ids = _read(str(form.get("act", "")), [str(one) for one in form.getlist("id")])
    key = str(form.get("key", ""))[:64]
    done: list[Item] = []
    away: str | None = None
    for item in await _items(dashboard, act, ids):
        if item.why is None and away is not None:
            done.append(replace(item, why=away))
            continue
        try:
            done.append(await _do(dashboard, actor_of(request), act, item, key))
        except Unavailable as error:
            away = str(error)
            done.append(replace(item, why=away))
    return await _page(request, act, done)


async def _do(dashboard: Dashboard, actor: Actor, act: Act, item: Item, key: str) -> Item:
    """The task with what came of it. Raises Unavailable."""
    if item.why is not None:
        return item
    operations = dashboard.umbel.operations
    try:
        if act is Act.REVOKE:
            await operations.revoke(actor, item.id)
            return replace(item, done=True)
        once = f"{key}-{item.id}" if key.isalnum() and item.id.isascii() else None
        sent = await operations.retry(actor, item.id, None, once)
        return replace(item, done=True, new_id=sent.task_ids[0])
    except Unavailable:
        raise
    except UmbelError as error:
        return replace(item, why=str(error))


async def _items(dashboard: Dashboard, act: Act, ids: Sequence[str]) -> list[Item]:
    umbel = dashboard.umbel
    found = await umbel.reading(stored.get_many, umbel.db, ids)
    return [_item(act, task_id, found.get(task_id)) for task_id in ids]


def _item(act: Act, task_id: str, task: Task | None) -> Item:
    if task is None:
        return Item(task_id, None, _("Nothing is known of this task now."))
    can = allowed(task)
    return Item(task_id, task, can.revoke if act is Act.REVOKE else can.retry)


def _read(act: str, ids: Iterable[str]) -> tuple[Act, list[str]]:
    found = list(dict.fromkeys(one for one in ids if one))
    if act not in list(map(str, Act)):
        wrong = FieldError(("query", "act"), f"{act[:40]!r} is not one of {', '.join(Act)}")
        raise BadInput("That can't be done to several tasks.", (wrong,))
    if not 0 < len(found) <= ROWS:
        wrong = FieldError(("query", "id"), f"{len(found)} tasks; 1 to {ROWS} are done at once")
        raise BadInput("Tick the tasks first, and not more than a page of them.", (wrong,))
    return Act(act), found


async def _page(
    request: Request, act: Act, items: Sequence[Item], key: str | None = None
) -> Response:
    """The question where there is a key, else what came of it."""
    possible = [item for item in items if item.why is None]
    return await dashboard_of(request).page(
        request, "tasks/selected.html", act=act.value, items=items, possible=possible, key=key
    )
