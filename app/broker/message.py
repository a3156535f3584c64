"""A task as the message and the `task-sent` event that Celery's own `send_task` would make.

Field by field the same as the installed Celery's (a test compares the two on a real Redis),
written from templates because a batch makes ten thousand of them. The event also carries our
own field `umbel`, with the true arguments, which other monitors ignore: docs/protocol.md.
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
from typing import Any, NamedTuple

from msgspec import Struct

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
GAP = "\0"
"""Stands in a mould where something is put in; JSON has it as an escape only."""
NO_CANVAS = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
"""The third part of a message's body: what Celery's workflows say there."""


class Arguments(NamedTuple):
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


class Mould(NamedTuple):
    """What all messages of one name, queue, priority and number of retries share.

    The texts are in pieces: between two of them stands what differs from task to task.
    """

    queue_key: str
    message: tuple[str, ...]
    event: tuple[str, ...]
    entry: tuple[str, ...]


class Writer:
    """Writes messages for one application, as a producer of this process's name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._mould = lru_cache(maxsize=KNOWN_MOULDS)(self._make_mould)
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
        identity, at = quote(task_id), f"{now:.6f}"
        values = given.values or _read(args, kwargs)
        # A tuple, as `delay(2, 3)` has it, so that the same call looks the same whoever made it.
        args_repr = '"()"' if args == "[]" else quote(_shorten(tuple(values.args), args))
        kwargs_repr = '"{}"' if kwargs == "{}" else quote(_shorten(values.kwargs, kwargs))
        start = given.eta if given.countdown is None else now + given.countdown
        eta = "null" if start is None else _moment(start)
        expires = "null" if given.expires is None else _moment(given.expires)
        root = identity if given.root_id is None else quote(given.root_id)
        parent = "null" if given.parent_id is None else quote(given.parent_id)
        retry_of = "null" if given.retry_of is None else quote(given.retry_of)
        body = f"[{args}, {kwargs}, {NO_CANVAS}]"
        inline = ""
        if len(args) + len(kwargs) <= INLINE_ARGUMENTS:
            inline = f'"args": {args}, "kwargs": {kwargs}, '
        life = "" if given.expires is None else _expiration(given.expires - now)
        m, e, n = mould.message, mould.event, mould.entry
        message = (
            f"{m[0]}{b2a_base64(_bytes(body), newline=False).decode()}{m[1]}{identity}{m[2]}{eta}"
            f"{m[3]}{expires}{m[4]}{root}{m[5]}{parent}{m[6]}{args_repr}{m[7]}{kwargs_repr}{m[8]}"
            f"{identity}{m[9]}{life}{m[10]}{tag}{m[11]}"
        )
        event = (
            f"{e[0]}{next(self._clock)}{e[1]}{identity}{e[2]}{root}{e[3]}{parent}{e[4]}{args_repr}"
            f"{e[5]}{kwargs_repr}{e[6]}{eta}{e[7]}{expires}{e[8]}{at}{e[9]}{inline}{e[10]}"
            f"{retry_of}{e[11]}"
        )
        entry = (
            f"[{at}{n[0]}{quote(args)}, {quote(kwargs)}{n[1]}{eta}, {expires}, {root}, {parent}, "
            f"{retry_of}]"
        )
        return Written(task_id, mould.queue_key, message, event, entry)

    def queue_key(self, queue: str | None, priority: int | None) -> str:
        """The list that messages of such submissions go to."""
        return self._transport.queue_key(queue or self._transport.default_queue, priority)

    def _make_mould(
        self, name: str, queue: str | None, priority: int | None, max_retries: int | None
    ) -> Mould:
        queue_key = self.queue_key(queue, priority)
        queue = queue or self._transport.default_queue
        task, route = quote(name), quote(queue)
        own = "" if max_retries is None else f', "max_retries": {max_retries}'
        message = (
            f'{{"body": "{GAP}", "content-encoding": "utf-8", '
            f'"content-type": "application/json", "headers": {{"lang": "py", "task": {task}, '
            f'"id": {GAP}, "shadow": null, "eta": {GAP}, "expires": {GAP}, '
            f'"group": null, "group_index": null, "retries": 0, "timelimit": [null, null], '
            f'"root_id": {GAP}, "parent_id": {GAP}, "argsrepr": {GAP}, "kwargsrepr": {GAP}, '
            f'"origin": {self._origin}, "ignore_result": null, "replaced_task_nesting": 0, '
            f'"stamped_headers": null, "stamps": {{}}{own}}}, '
            f'"properties": {{"correlation_id": {GAP}, "reply_to": "", "delivery_mode": 2, '
            f'{GAP}"delivery_info": {{"exchange": "", "routing_key": {route}}}, '
            f'"priority": {priority or 0}, "body_encoding": "base64", "delivery_tag": "{GAP}"}}}}'
        )
        event = (
            f'{self._event_head}, "clock": {GAP}, "uuid": {GAP}, '
            f'"root_id": {GAP}, "parent_id": {GAP}, "name": {task}, '
            f'"args": {GAP}, "kwargs": {GAP}, "retries": 0, '
            f'"eta": {GAP}, "expires": {GAP}, "queue": {route}, '
            f'"exchange": "", "routing_key": {route}, "timestamp": {GAP}, '
            f'"type": "task-sent", "umbel": {{{GAP}"retry_of": {GAP}, '
            f'"priority": {priority or 0}}}}}'
        )
        return Mould(
            queue_key=queue_key,
            message=tuple(message.split(GAP)),
            event=tuple(event.split(GAP)),
            entry=(f", {task}, ", f", {route}, {priority or 0}, "),
        )

    def event(self, event_type: str, now: float, **fields: object) -> str:
        """Another event of this process's, as JSON."""
        told = {"clock": next(self._clock), **fields, "timestamp": now, "type": event_type}
        return f"{self._event_head}, {json.dumps(told)[1:]}"

    def envelope(self, body: str, event_type: str, tag: str, streamed: bool = False) -> bytes:
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
        ).encode()


def print_moment(seconds: float) -> str:
    """A moment as Celery writes an eta: ISO 8601 with microseconds where there are any, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _moment(seconds: float) -> str:
    return f'"{print_moment(seconds)}"'


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
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate can stand in JSON as its escape alone.
        return text.encode(errors="backslashreplace")
