"""Tasks: read one, wait for one, list them, revoke one, run one again."""

import time
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from app.domain.filters import parse_filter, parse_sort
from app.domain.tasks import Task, TaskState
from app.feed.codec import encode_summary, encode_task
from app.feed.times import moment
from app.operations.operations import Changes
from app.store import audit, pages, totals
from app.store import tasks as stored
from app.store.database import Database
from app.web.api.answers import JSON, Requested, Retried, TaskDetail, TaskPage, links_of
from app.web.api.bodies import Retry
from app.web.api.decode import decode, idempotency_key, json_text
from app.web.api.parameters import FILTER_PARAMETERS, SORT
from app.web.api.submit import IDEMPOTENCY, LOCATION, actor_of, moment_of, start_of
from app.web.openapi import documented
from app.web.signatures import placed
from app.web.state import umbel_of
from app.web.tasks import await_end, find_task

LONGEST_WAIT = 60
"""Seconds that one request waits for a task's end; proxies give up not much later."""
USUAL_PAGE = 50
"""Tasks on one page where the request does not say."""

TaskId = Annotated[str, Path(description="The task's id")]

router = APIRouter(tags=["tasks"])
_encode = msgspec.json.Encoder().encode


@router.get(
    "/tasks",
    **documented(
        "List tasks",
        answers={200: TaskPage},
        problems=(422, 503),
        parameters=[*FILTER_PARAMETERS, SORT],
        headers={"Link": "The next page, as rel=next, where there is one"},
    ),
)
async def list_tasks(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=pages.MAX_PAGE, description="Tasks on the page")
    ] = USUAL_PAGE,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page")] = None,
    count: Annotated[bool, Query(description="Say how many match, in `total`")] = False,
) -> Response:
    """Summaries, newest first, a page at a time; `next` leads on until it is null."""
    umbel = umbel_of(request)
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    wanted = await placed(umbel, parse_filter(pairs, time.time()))
    sort = parse_sort(request.query_params.get("sort"))
    page = await umbel.reading(
        stored.page, umbel.db, wanted, sort=sort, limit=limit, cursor=cursor or None
    )
    headers = {}
    if page.next is not None:
        following = [pair for pair in pairs if pair[0] != "cursor"] + [("cursor", page.next)]
        headers["Link"] = f'</tasks?{urlencode(following)}>; rel="next"'
    rows = b",".join(map(encode_summary, page.tasks))
    counted = b""
    if count:
        total = await umbel.reading(totals.total, umbel.db, wanted)
        to_the_end = page.is_all(sort, cursor or None)
        counted = b',"total":' + _encode(total.at_least(len(page.tasks), to_the_end=to_the_end))
    body = b'{"tasks":[%b],"next":%b%b}' % (rows, _encode(page.next), counted)
    return Response(body, headers=headers, media_type=JSON)


@router.get(
    "/tasks/{task_id:path}",
    **documented("Read a task", answers={200: TaskDetail}, problems=(404, 422, 503)),
)
async def show_task(
    request: Request,
    task_id: TaskId,
    wait: Annotated[
        float | None,
        Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for its end at most"),
    ] = None,
) -> Response:
    """All that is known of it. With `wait`, answers when it has ended, or after that long."""
    umbel = umbel_of(request)
    if wait:
        task = await await_end(umbel, task_id, wait)
    else:
        task = await find_task(umbel, task_id)
    body = await umbel.reading(read_whole, umbel.db, task)
    return Response(body, media_type=JSON)


@router.delete(
    "/tasks/{task_id:path}",
    **documented("Revoke a task", answers={202: Requested}, problems=(403, 404, 409, 422, 503)),
)
async def revoke_task(
    request: Request,
    task_id: TaskId,
    terminate: Annotated[bool, Query(description="End it also if it runs")] = False,
    signal: Annotated[
        str, Query(max_length=20, description="The signal that ends it: SIGTERM, SIGKILL, …")
    ] = "SIGTERM",
) -> Response:
    """Asks every worker, also those to come, not to run it, or to end it; the task says when it
    is so."""
    umbel = umbel_of(request)
    await find_task(umbel, task_id)
    asked = await umbel.operations.revoke(
        actor_of(request.scope), task_id, terminate=terminate, signal=signal
    )
    answer = Requested(task_id, "revoke", terminate, asked.signal, asked.heard, asked.withdrawn)
    return Response(_encode(answer), 202, media_type=JSON)


@router.post(
    "/tasks/{task_id:path}/retry",
    **documented(
        "Run a task again",
        body=Retry,
        body_required=False,
        answers={202: Retried},
        problems=(404, 409, 413, 422, 503),
        parameters=[IDEMPOTENCY],
        headers=LOCATION,
    ),
)
async def retry_task(request: Request, task_id: TaskId) -> Response:
    """Sends a new task with the same arguments, or with those given; the two know each other."""
    umbel = umbel_of(request)
    key = idempotency_key(request.scope)
    data = await request.body()
    changes = _changes(decode(data, Retry) if data.strip() else Retry(), time.time())
    await find_task(umbel, task_id)
    published = await umbel.operations.retry(actor_of(request.scope), task_id, changes, key)
    new_id = published.task_ids[0]
    links = links_of(new_id)
    body = _encode(Retried(new_id, TaskState.PENDING.value, task_id, links))
    return Response(body, 202, {"Location": links.self_}, media_type=JSON)


def _changes(body: Retry, now: float) -> Changes:
    return Changes(
        args=json_text(body.args, list, ("body", "args")),
        kwargs=json_text(body.kwargs, dict, ("body", "kwargs")),
        queue=body.queue,
        eta=start_of(body.countdown, body.eta, ("body",), now),
        expires=moment_of(body.expires, ("body", "expires"), now),
        priority=body.priority,
    )


def read_whole(db: Database, task: Task) -> bytes:
    """The body of a task: with what was asked of it, and the tasks that were made of it."""
    asked = [
        {
            "action": entry.action,
            "at": moment(entry.at),
            "by": entry.actor,
            "outcome": entry.outcome,
        }
        for entry in audit.entries(db, task.id)
    ]
    again = [retry.id for retry in stored.retries_of(db, task.id)]
    return encode_task(task, requests=asked, retried_as=again)
