"""`GET /events`: the feed as Server-Sent Events, from one shared ring to any number of readers.

A reader is a place in the ring, not a queue: a slow one costs nothing, and one that falls off
the ring is told `reset`. Frames are encoded once, by the tail. It is a plain ASGI endpoint
because every layer above costs more for a message than the message (docs/decisions/0005-sse.md).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from app.domain.errors import BadInput, FeedUnavailable, FieldError, UmbelError
from app.domain.filters import TaskFilter, parse_filter
from app.feed.changes import Kind
from app.feed.tailed import Tailed
from app.feed.times import moment
from app.web.api.parameters import FILTER_PARAMETERS
from app.web.errors import describe, render
from app.web.openapi import STREAM, Documented, header, query, refusals
from app.web.security import PLAIN_SEND
from app.web.signatures import placed
from app.web.state import Umbel, of_scope
from app.web.streams import LOOK_SECONDS, Stream

HEARTBEAT_SECONDS = 10.0
"""Proxies close what is silent for 30 s; the contract promises 15."""
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
            wanted, last_id = await read_request(scope, umbel)
            umbel.streams.check()
        except UmbelError as error:
            problem, headers = describe(scope["path"], error)
            await render(problem, headers)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope.get("head"):
            await send({"type": "http.response.body", "body": b""})
            return
        # Past the layers that only look at an answer's beginning.
        plain = scope.get(PLAIN_SEND, send)
        await umbel.streams.serve(
            receive, plain, partial(self._follow, umbel, wanted, last_id), BYE
        )

    async def _follow(
        self, umbel: Umbel, wanted: Wanted, last_id: str | None, stream: Stream
    ) -> None:
        reader = Reader(umbel, stream, wanted)
        try:
            await reader.begin(last_id, self._replays)
            await reader.follow()
        except FeedUnavailable:
            pass  # it knows where it was, and asks again


class Reader:
    """One reader: what it wants, and its place in the ring."""

    def __init__(self, umbel: Umbel, stream: Stream, wanted: Wanted) -> None:
        self.umbel = umbel
        self._write = stream.write
        self._wanted = wanted
        self._place(umbel.tail.position, umbel.tail.head)

    async def begin(self, last_id: str | None, replays: asyncio.Semaphore) -> None:
        """Sends what came after `last_id`, and a heartbeat, so that the reader has an id.

        Raises FeedUnavailable.
        """
        await self._write(b"retry: %d\n\n" % RETRY_MS)
        if last_id is not None and not self._find(last_id):
            async with replays:
                await self._replay(last_id)
        await self._write(heartbeat(self.umbel, self._seen))

    async def follow(self) -> None:
        """Sends what happens, until cancelled."""
        tail, streams = self.umbel.tail, self.umbel.streams
        due = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            changes = tail.after(self._position)
            if changes is None:
                await self._reset("this stream was read too slowly")
            elif changes:
                self._place(changes[-1].position, changes[-1].change.id or self._seen)
                await self._write(joined(changes, self._wanted))
                if self._position < tail.position:
                    await asyncio.sleep(0)  # who catches up lets others have their turn
            elif time.monotonic() >= due:
                await self._write(heartbeat(self.umbel, self._seen))
                due = time.monotonic() + HEARTBEAT_SECONDS
            else:
                await streams.woken()
                continue
            if time.monotonic() >= due + LOOK_SECONDS:  # busy all the time
                await self._write(heartbeat(self.umbel, self._seen))
                due = time.monotonic() + HEARTBEAT_SECONDS

    def _place(self, position: int, seen: str | None) -> None:
        self._position, self._seen = position, seen

    def _find(self, last_id: str) -> bool:
        position = self.umbel.tail.position_of(last_id)
        if position is not None:
            self._place(position, last_id)
        return position is not None

    async def _replay(self, last_id: str) -> None:
        """Sends pages from Redis until the ring has the rest."""
        while not self._find(last_id):
            changes = await self.umbel.tail.replay(last_id)
            if changes is None:
                await self._reset("the gap could not be filled")
                return
            if changes:
                last_id = changes[-1].id
                await self._write(joined([Tailed(0, change) for change in changes], self._wanted))

    async def _reset(self, reason: str) -> None:
        self._place(self.umbel.tail.position, self.umbel.tail.head)
        await self._write(reset_frame(self._seen, reason))


async def read_request(scope: Scope, umbel: Umbel) -> tuple[Wanted, str | None]:
    """The filter and the id to resume after. Raises BadInput, StoreUnavailable."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    tasks = await placed(umbel, parse_filter(pairs, time.time()))
    wanted = choose(tasks, _kinds(pairs))
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
