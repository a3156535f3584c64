"""`GET /events`: the feed as Server-Sent Events, from one shared ring to any number of readers.

A reader is a place in the ring, not a queue: a slow one costs nothing, and one that falls off
the ring is told `reset`. Frames are encoded once, by the tail. It is a plain ASGI endpoint
because every layer above costs more for a message than the message (docs/decisions/0005-sse.md).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import get_args
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Message, Receive, Scope, Send

from app.domain.errors import BadInput, FieldError, UmbelError
from app.domain.filters import TaskFilter, parse_filter
from app.feed.changes import Kind
from app.feed.tail import Tailed
from app.feed.times import moment
from app.web.api.parameters import FILTER_PARAMETERS
from app.web.errors import describe, render
from app.web.openapi import STREAM, Documented, header, query, refusals
from app.web.state import Umbel, of_scope

HEARTBEAT_SECONDS = 10.0
"""Proxies close what is silent for 30 s; the contract promises 15."""
SEND_SECONDS = 20.0
"""A reader whose buffers stay full for so long is gone, or as good as."""
RETRY_MS = 1500
"""When a browser connects again after the stream ended."""
REPLAYS_AT_ONCE = 8
"""After a restart everybody resumes at once; each replay reads half a megabyte at a time."""
KINDS = get_args(Kind)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
BYE = b"event: bye\nretry: %d\ndata: {}\n\n" % RETRY_MS

Wanted = Callable[[Tailed], bool] | None
"""Which changes a reader wants; None means all."""


class Beat(msgspec.Struct, frozen=True):
    """A heartbeat: the time, and whether what happens is heard, since when, and why not."""

    at: str | None
    live: bool
    since: str | None
    reason: str | None


DOCUMENT: Documented = {
    "get": {
        "tags": ["events"],
        "summary": "Follow everything",
        "description": "Server-Sent Events: `task` (a task's summary), `worker`, `queue`, "
        "`stats`, `heartbeat` (at least every 15 s, with the present id), `reset` (changes may "
        "have been missed: read the state anew) and `bye` (the server stops: connect again). "
        "With `Last-Event-ID` every change since follows exactly once, or else a `reset` first. "
        "With filters of tasks only tasks are sent, unless `types` asks for more.",
        "operationId": "follow_everything",
        "parameters": [
            *FILTER_PARAMETERS,
            query("types", "Only events of these types", {"enum": list(KINDS)}, repeatable=True),
            query("last_event_id", "The same as the header", {"type": "string"}),
            header("Last-Event-ID", "The last id that was read", {"type": "string"}),
        ],
        "responses": {
            "200": {
                "description": "A stream without an end",
                "content": {STREAM: {"schema": {"type": "string"}}},
            },
            **refusals(400, 422, 503),
        },
    }
}


class EventStream:
    """The endpoint. A reader's filter and place come from the query and Last-Event-ID."""

    def __init__(self) -> None:
        self._replays = asyncio.Semaphore(REPLAYS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        umbel = of_scope(scope)
        try:
            wanted, last_id = read_request(scope)
            with umbel.streams.admit():
                await self._serve(umbel, scope, receive, send, wanted, last_id)
        except UmbelError as error:
            problem, headers = describe(scope["path"], error)
            await render(problem, headers)(scope, receive, send)

    async def _serve(
        self,
        umbel: Umbel,
        scope: Scope,
        receive: Receive,
        send: Send,
        wanted: Wanted,
        last_id: str | None,
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope.get("head"):
            await send({"type": "http.response.body", "body": b""})
            return
        task = asyncio.current_task()
        watcher = asyncio.create_task(_watch(receive, task))
        try:
            async with aclosing(self._frames(umbel, wanted, last_id)) as stream:
                async for frames in stream:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send(_part(frames))
        except asyncio.CancelledError:
            if watcher.done():  # the reader left
                _uncancel(task)
                return
            if not umbel.streams.closing:
                raise
            _uncancel(task)
            await send({"type": "http.response.body", "body": BYE})
        except TimeoutError:
            pass  # returning without an end makes the server close the connection
        finally:
            watcher.cancel()

    async def _frames(
        self, umbel: Umbel, wanted: Wanted, last_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        """What to send, already encoded: first a heartbeat, so that the reader has an id."""
        tail = umbel.tail
        position, seen = tail.position, tail.head
        if last_id is None:
            yield b"retry: %d\n" % RETRY_MS + heartbeat(umbel, seen)
        else:
            yield b"retry: %d\n\n" % RETRY_MS
            found = tail.position_of(last_id)
            if found is not None:
                position, seen = found, last_id
            else:
                async with self._replays, aclosing(self._resume(umbel, wanted, last_id)) as pages:
                    async for frames, place in pages:
                        position, seen = place
                        if frames:
                            yield frames
            yield heartbeat(umbel, seen)
        due = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            changes = tail.after(position)
            if changes is None:
                position, seen = tail.position, tail.head
                yield reset_frame(seen, "this stream was read too slowly")
            elif changes:
                position = changes[-1].position
                seen = changes[-1].change.id or seen
                if frames := joined(changes, wanted):
                    yield frames
                await asyncio.sleep(0)  # a reader that catches up lets others have their turn
            if time.monotonic() >= due:
                yield heartbeat(umbel, seen)
                due = time.monotonic() + HEARTBEAT_SECONDS
            await tail.wait(position, max(0.0, due - time.monotonic()))

    async def _resume(
        self, umbel: Umbel, wanted: Wanted, last_id: str
    ) -> AsyncGenerator[tuple[bytes, tuple[int, str | None]], None]:
        """Pages of changes after `last_id` until the ring has the rest, each with its place."""
        tail = umbel.tail
        while (position := tail.position_of(last_id)) is None:
            changes = await tail.replay(last_id)
            if changes is None:
                place = (tail.position, tail.head)
                yield reset_frame(tail.head, "the gap could not be filled"), place
                return
            if changes:
                last_id = changes[-1].id
                tailed = [Tailed(0, change) for change in changes]
                yield joined(tailed, wanted), (tail.position, last_id)
        yield b"", (position, last_id)


def read_request(scope: Scope) -> tuple[Wanted, str | None]:
    """The filter and the id to resume after. Raises BadInput."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    wanted = choose(parse_filter(pairs, time.time()), _kinds(pairs))
    given = [value for name, value in pairs if name == "last_event_id" and value]
    by_header = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id"
    ]
    # A browser's own header is newer than what its page put into the address.
    return wanted, next((value for value in by_header + given if value), None)


def choose(tasks: TaskFilter, kinds: frozenset[str]) -> Wanted:
    """What a filter and `types` let through. A filter of tasks leaves out all that is no task,
    unless `types` asks for it; a reset always passes."""
    if not tasks and not kinds:
        return None
    shown = kinds or frozenset({"task"})

    def wanted(tailed: Tailed) -> bool:
        kind = tailed.change.kind
        if kind == "reset":
            return True
        if kind not in shown:
            return False
        task = tailed.task if kind == "task" and tasks else None
        return task is None or tasks.matches(task)

    return wanted


def joined(changes: Sequence[Tailed], wanted: Wanted) -> bytes:
    """The frames of the changes that are wanted."""
    if wanted is None:
        return b"".join([tailed.frame for tailed in changes])
    return b"".join([tailed.frame for tailed in changes if wanted(tailed)])


def heartbeat(umbel: Umbel, feed_id: str | None) -> bytes:
    """A named event, because a page's script never sees a comment; with the id to resume from."""
    recorder = umbel.health.recorder
    beat = Beat(moment(time.time()), recorder.ok, moment(recorder.since), recorder.reason or None)
    head = f"id: {feed_id}\n" if feed_id else ""
    return b"%bevent: heartbeat\ndata: %b\n\n" % (head.encode(), msgspec.json.encode(beat))


def reset_frame(feed_id: str | None, reason: str) -> bytes:
    """Tells a reader to read the state anew, and where the stream goes on."""
    head = f"id: {feed_id}\n" if feed_id else ""
    return b"%bevent: reset\ndata: %b\n\n" % (
        head.encode(),
        msgspec.json.encode({"reason": reason}),
    )


def _kinds(pairs: Sequence[tuple[str, str]]) -> frozenset[str]:
    given = [
        kind.strip()
        for name, value in pairs
        if name == "types"
        for kind in value.split(",")
        if kind.strip()
    ]
    for kind in given:
        if kind not in KINDS:
            allowed = ", ".join(KINDS)
            error = FieldError(("query", "types"), f"{kind[:60]!r} is not one of {allowed}")
            raise BadInput("That type of event is not known.", (error,))
    return frozenset(given)


def _part(frames: bytes) -> Message:
    return {"type": "http.response.body", "body": frames, "more_body": True}


async def _watch(receive: Receive, task: "asyncio.Task[object] | None") -> None:
    """Cancels the stream when its reader has left, which only `receive` ever tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if task is not None:
        task.cancel()


def _uncancel(task: "asyncio.Task[object] | None") -> None:
    if task is not None:
        task.uncancel()
