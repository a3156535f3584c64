"""`GET /tasks/{id}/events`: one task, from its present state to its end."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse
from sse_starlette.sse import AppStatus
from starlette.responses import Response

from app.domain.tasks import Task
from app.feed.changes import Change, frame_of
from app.feed.codec import encode_summary
from app.web.openapi import STREAM, documented, path_text
from app.web.state import Umbel, umbel_of
from app.web.stream import BYE, HEADERS, HEARTBEAT_SECONDS, RETRY_MS, heartbeat
from app.web.streams import STALLED_SECONDS
from app.web.tasks import LastWords, find_task

DONE_RETRY_MS = 3_600_000
"""A browser would connect again when the stream ends, and again: it is told to wait an hour."""

# Its flag is one for the whole process and never reset; `Streams` ends our streams instead.
AppStatus.enable_automatic_graceful_drain = False

router = APIRouter(tags=["tasks"])


@router.get(
    "/tasks/{task_id:path}/events",
    **documented(
        "Follow one task",
        answers={200: STREAM},
        problems=(404, 503),
        parameters=[path_text("task_id", "The task's id")],
    ),
)
async def follow_task(request: Request) -> Response:
    """Server-Sent Events: `task` with its summary, now and at each change, until it has ended."""
    umbel = umbel_of(request)
    task_id = request.path_params["task_id"]
    umbel.streams.check()
    await find_task(umbel, task_id)
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    if request.scope.get("head"):
        return Response(headers=headers)
    return EventSourceResponse(
        frames(umbel, task_id), headers=headers, ping=0, send_timeout=STALLED_SECONDS
    )


async def frames(umbel: Umbel, task_id: str) -> AsyncIterator[bytes]:
    """Encoded frames from the task's present state to its end, or to the server's."""
    with umbel.streams.counted(), umbel.news.watch(task_id) as watch:
        head = umbel.tail.head
        task = await find_task(umbel, task_id)
        yield b"retry: %d\n" % RETRY_MS + _frame(head, task)
        words = LastWords(task)
        while (left := words.left(task)) > 0 and not umbel.streams.closing:
            await watch.wait(min(left, HEARTBEAT_SECONDS))
            tailed = watch.take()
            if watch.gap:
                watch.gap = False
                head = umbel.tail.head
                task = await find_task(umbel, task_id)
                yield _frame(head, task)
            elif tailed is not None and tailed.task is not None:
                task = tailed.task
                yield tailed.frame
            elif not task.state.ended:
                yield heartbeat(umbel, umbel.tail.head)
        yield BYE if umbel.streams.closing else b"retry: %d\n\n" % DONE_RETRY_MS


def _frame(feed_id: str | None, task: Task) -> bytes:
    return frame_of(Change(feed_id or "", "task", encode_summary(task)))
