"""A task as the message and the `task-sent` event that Celery's own `send_task` would make.

What does not differ from task to task in them stands in `app.broker.moulds`. The event also
carries our own field `umbel`, with the true arguments, which other monitors ignore:
docs/protocol.md.
"""

import json
import os
import socket
import time
from binascii import b2a_base64
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from msgspec import Struct

from app.broker.moulds import (
    NO_OPTIONS,
    Mould,
    Options,
    marked_entry,
    marked_event,
    marked_message,
)
from app.broker.reprs import MAX_LENGTH, MAX_LEVELS, shorten
from app.broker.transport import Transport
from app.domain.events import Json

INLINE_ARGUMENTS = 16 * 1024
"""Bytes of true arguments that an event carries; larger ones are read from the ledger, for every
subscriber of events, Umbel or not, is sent them."""
PLAIN_LENGTH = 600
"""Characters of JSON up to which it is worth asking whether Python's own repr will do."""
KNOWN_MOULDS = 1024
"""Moulds kept, of some 2 KB each; an application has some hundreds of names, few queues."""
KNOWN_CUTS = 64
"""Of these with options, kept: those of a batch have the same few moments, others seldom do."""
NO_CANVAS = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
"""The third part of a message's body: what Celery's workflows say there."""


class Arguments(Struct, frozen=True, gc=False):
    """A task's arguments as Python values."""

    args: list[Any]
    kwargs: dict[str, Any]


class Submission(Struct, frozen=True, kw_only=True, gc=False):
    """A task to send. `args` is a JSON array, `kwargs` a JSON object, both as text.

    `eta` and `expires` are moments, in seconds since the epoch; `countdown` is seconds from
    when it is sent. Without a `queue` it goes to the default one, without a `task_id` it gets
    one. `max_retries` travels as a header of that name: stock workers do not read it. `values`
    is what `args` and `kwargs` say, where whoever made them has read them already.
    """

    name: str
    args: Json = "[]"
    kwargs: Json = "{}"
    queue: str | None = None
    countdown: float | None = None
    eta: float | None = None
    expires: float | None = None
    priority: int | None = None
    max_retries: int | None = None
    task_id: str | None = None
    retry_of: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    values: Arguments | None = None


class Written(Struct, frozen=True, gc=False):
    """A submission on the wire: the message and its list, the event, the ledger's entry."""

    task_id: str
    queue_key: str
    message: str
    event: str
    entry: str


class Writer:
    """Writes messages for one application, as a producer of this process's name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._mould = lru_cache(maxsize=KNOWN_MOULDS)(self._make_mould)
        self._cut = lru_cache(maxsize=KNOWN_CUTS)(Mould.cut)
        self.origin = f"gen{os.getpid()}@{socket.gethostname()}"
        self._origin = quote(self.origin)
        offset = time.altzone if time.localtime().tm_isdst else time.timezone
        # Stock monitors add this to the time stamp, so it has to be the one Celery would say.
        self._event_head = (
            f'{{"hostname": {self._origin}, "utcoffset": {offset / 3600!r}, "pid": {os.getpid()}'
        )
        self._clock: Iterator[int] = count(1)

    def write(self, given: Submission, task_id: str, tag: str, now: float) -> Written:
        """The submission on the wire. `tag` is the delivery tag, `now` the time it is sent.

        Raises ValueError where `args` or `kwargs` is not JSON of its kind.
        """
        args, kwargs = given.args, given.kwargs
        mould = self._mould(given.name, given.queue, given.priority, given.max_retries)
        if (options := _options(given, now)) is not NO_OPTIONS:
            mould = self._cut(mould.queue_key, mould.marked, options)
        queue_key, m, e, n, _ = mould
        own, at = quote(task_id), f"{now:.6f}"
        root = own if given.root_id is None else quote(given.root_id)
        values = given.values or _read(args, kwargs)
        # A tuple, as `delay(2, 3)` has it, so that the same call looks the same whoever made it.
        by_place = '"()"' if args == "[]" else quote(_shorten(tuple(values.args), args))
        by_name = '"{}"' if kwargs == "{}" else quote(_shorten(values.kwargs, kwargs))
        body = b2a_base64(_bytes(f"[{args}, {kwargs}, {NO_CANVAS}]"), newline=False).decode()
        inline = ""
        if len(args) + len(kwargs) <= INLINE_ARGUMENTS:
            inline = f'"args": {args}, "kwargs": {kwargs}, '
        return Written(
            task_id,
            queue_key,
            f"{m[0]}{body}{m[1]}{own}{m[2]}{root}{m[3]}{by_place}{m[4]}{by_name}{m[5]}{own}{m[6]}"
            f"{tag}{m[7]}",
            f"{e[0]}{next(self._clock)}{e[1]}{own}{e[2]}{root}{e[3]}{by_place}{e[4]}{by_name}"
            f"{e[5]}{at}{e[6]}{inline}{e[7]}",
            f"{n[0]}{at}{n[1]}{quote(args)}{n[2]}{quote(kwargs)}{n[3]}{root}{n[4]}",
        )

    def queue_key(self, queue: str | None, priority: int | None) -> str:
        """The list that messages of such submissions go to."""
        return self._transport.queue_key(queue or self._transport.default_queue, priority)

    def _make_mould(
        self, name: str, queue: str | None, priority: int | None, max_retries: int | None
    ) -> Mould:
        route = queue or self._transport.default_queue
        message = marked_message(name, route, priority, max_retries, self._origin)
        event = marked_event(name, route, priority, self._event_head)
        marked = (message, event, marked_entry(name, route, priority))
        return Mould.cut(self.queue_key(queue, priority), marked, NO_OPTIONS)

    def event(self, event_type: str, now: float, **fields: object) -> str:
        """Another event of this process's, as JSON."""
        told = {"clock": next(self._clock), **fields, "timestamp": now, "type": event_type}
        return f"{self._event_head}, {json.dumps(told)[1:]}"

    def envelope(self, body: str, event_type: str, tag: str, streamed: bool = False) -> str:
        """An event, or the JSON array of several (`task-multi`), as kombu publishes it. Marked
        where it is `streamed` too, for those who read the stream."""
        mark = ', "umbel": 0' if streamed else ""
        exchange = quote(self._transport.event_exchange)
        return (
            f'{{"body": "{b2a_base64(_bytes(body), newline=False).decode()}", '
            f'"content-encoding": "utf-8", '
            f'"content-type": "application/json", "headers": {{"hostname": {self._origin}{mark}}}, '
            f'"properties": {{"delivery_mode": 1, "delivery_info": {{"exchange": {exchange}, '
            f'"routing_key": "{event_type.replace("-", ".")}"}}, "priority": 0, '
            f'"body_encoding": "base64", "delivery_tag": "{tag}"}}}}'
        )


def print_moment(seconds: float) -> str:
    """A moment as Celery writes an eta: ISO 8601 with microseconds where there are any, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _moment(seconds: float) -> str:
    return f'"{print_moment(seconds)}"'


def _options(given: Submission, now: float) -> Options:
    if (
        given.eta is given.countdown is given.expires is None
        and given.parent_id is given.retry_of is None
    ):
        return NO_OPTIONS
    start = given.eta if given.countdown is None else now + given.countdown
    expires = given.expires
    return Options(
        eta="null" if start is None else _moment(start),
        expires="null" if expires is None else _moment(expires),
        parent="null" if given.parent_id is None else quote(given.parent_id),
        retry_of="null" if given.retry_of is None else quote(given.retry_of),
        life="" if expires is None else _expiration(expires - now),
    )


def _read(args: Json, kwargs: Json) -> Arguments:
    positional, named = json.loads(args), json.loads(kwargs)
    if type(positional) is not list:
        raise ValueError("args is not a JSON array")
    if type(named) is not dict:
        raise ValueError("kwargs is not a JSON object")
    return Arguments(positional, named)


def _shorten(value: object, text: Json) -> str:
    """The shortened repr; Python's own where the two can't differ, for it is much faster."""
    plain = (
        len(text) < PLAIN_LENGTH
        and text.isascii()
        and text.isprintable()
        # JSON and Python write these two differently.
        and "'" not in text
        and "\\" not in text
        and text.count("[") + text.count("{") <= MAX_LEVELS
    )
    if plain and len(found := repr(value)) < MAX_LENGTH:
        return found
    return shorten(value)


def _expiration(seconds: float) -> str:
    # Milliseconds as text, as AMQP has it; no broker of Redis reads it, other consumers may.
    return f'"expiration": "{int(max(0.0, seconds) * 1000)}", '


def _bytes(text: str) -> bytes:
    # A lone surrogate can stand in JSON as its escape alone.
    return text.encode(errors="backslashreplace")
