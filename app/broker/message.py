"""A task as the message and the `task-sent` event that Celery's own `send_task` would make.

Field by field the same as the installed Celery's (a test compares the two on a real Redis),
written from templates because a batch makes ten thousand of them. The event also carries our
own field `umbel`, with the true arguments, which other monitors ignore: docs/protocol.md.
"""

import json
import os
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from json.encoder import encode_basestring_ascii as quote
from json.scanner import make_scanner
from typing import NamedTuple

from app.broker.reprs import MAX_LENGTH, MAX_LEVELS, shorten
from app.broker.transport import Transport
from app.domain.events import Json

INLINE_ARGUMENTS = 16 * 1024
"""Bytes of true arguments that an event carries; larger ones are read from the ledger, for every
subscriber of events, Umbel or not, is sent them."""
PLAIN_LENGTH = 600
"""Characters of JSON up to which it is worth asking whether Python's own repr will do."""
KNOWN_NAMES = 4096
"""Names and queues whose JSON text is kept; an application has some hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A task to send. `args` is a JSON array, `kwargs` a JSON object, both as text.

    `eta` and `expires` are moments, in seconds since the epoch; `countdown` is seconds from
    when it is sent. Without a `queue` it goes to the default one, without a `task_id` it gets
    one. `max_retries` travels as a header of that name: stock workers do not read it.
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


class Written(NamedTuple):
    """A submission on the wire: the message and its list, the event, the ledger's entry."""

    task_id: str
    queue_key: str
    message: bytes
    event: str
    entry: bytes


class Writer:
    """Writes messages for one application, as a producer of this process's name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._queue_key = lru_cache(maxsize=KNOWN_NAMES)(transport.queue_key)
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
        queue = given.queue or self._transport.default_queue
        eta = given.eta if given.countdown is None else now + given.countdown
        facts = _facts(given, task_id, queue, eta)
        return Written(
            task_id=task_id,
            queue_key=self._queue_key(queue, given.priority),
            message=self._message(given, facts, tag, now),
            event=self._event(given, facts, now),
            entry=_entry(given, facts, now),
        )

    def _message(self, given: Submission, facts: "_Facts", tag: str, now: float) -> bytes:
        body = f'[{given.args}, {given.kwargs}, {{"callbacks": null, "errbacks": null, "chain": '
        body += 'null, "chord": null}]'
        own = "" if given.max_retries is None else f', "max_retries": {given.max_retries}'
        life = "" if given.expires is None else _expiration(given.expires - now)
        return (
            f'{{"body": "{b64encode(_bytes(body)).decode()}", "content-encoding": "utf-8", '
            f'"content-type": "application/json", "headers": {{"lang": "py", "task": {facts.name}, '
            f'"id": {facts.id}, "shadow": null, "eta": {facts.eta}, "expires": {facts.expires}, '
            f'"group": null, "group_index": null, "retries": 0, "timelimit": [null, null], '
            f'"root_id": {facts.root_id}, "parent_id": {facts.parent_id}, '
            f'"argsrepr": {facts.args_repr}, "kwargsrepr": {facts.kwargs_repr}, '
            f'"origin": {self._origin}, "ignore_result": null, "replaced_task_nesting": 0, '
            f'"stamped_headers": null, "stamps": {{}}{own}}}, '
            f'"properties": {{"correlation_id": {facts.id}, "reply_to": "", "delivery_mode": 2, '
            f'{life}"delivery_info": {{"exchange": "", "routing_key": {facts.queue}}}, '
            f'"priority": {given.priority or 0}, "body_encoding": "base64", '
            f'"delivery_tag": "{tag}"}}}}'
        ).encode()

    def _event(self, given: Submission, facts: "_Facts", now: float) -> str:
        values = ""
        if len(given.args) + len(given.kwargs) <= INLINE_ARGUMENTS:
            values = f'"args": {given.args}, "kwargs": {given.kwargs}, '
        retry_of = "null" if given.retry_of is None else quote(given.retry_of)
        priority = given.priority or 0
        return (
            f'{self._event_head}, "clock": {next(self._clock)}, "uuid": {facts.id}, '
            f'"root_id": {facts.root_id}, "parent_id": {facts.parent_id}, "name": {facts.name}, '
            f'"args": {facts.args_repr}, "kwargs": {facts.kwargs_repr}, "retries": 0, '
            f'"eta": {facts.eta}, "expires": {facts.expires}, "queue": {facts.queue}, '
            f'"exchange": "", "routing_key": {facts.queue}, "timestamp": {now!r}, '
            f'"type": "task-sent", "umbel": {{{values}"retry_of": {retry_of}, '
            f'"priority": {priority}}}}}'
        )

    def event(self, event_type: str, now: float, **fields: object) -> str:
        """Another event of this process's, as JSON."""
        told = {"clock": next(self._clock), **fields, "timestamp": now, "type": event_type}
        return f"{self._event_head}, {json.dumps(told)[1:]}"

    def envelope(self, body: str, event_type: str, tag: str) -> bytes:
        """An event, or the JSON array of several (`task-multi`), as kombu publishes it."""
        exchange = quote(self._transport.event_exchange)
        return (
            f'{{"body": "{b64encode(_bytes(body)).decode()}", "content-encoding": "utf-8", '
            f'"content-type": "application/json", "headers": {{"hostname": {self._origin}}}, '
            f'"properties": {{"delivery_mode": 1, "delivery_info": {{"exchange": {exchange}, '
            f'"routing_key": "{event_type.replace("-", ".")}"}}, "priority": 0, '
            f'"body_encoding": "base64", "delivery_tag": "{tag}"}}}}'
        ).encode()


class _Facts(NamedTuple):
    """What message and event both say, each as JSON text."""

    id: str
    name: str
    queue: str
    args_repr: str
    kwargs_repr: str
    eta: str
    expires: str
    root_id: str
    parent_id: str


def _facts(given: Submission, task_id: str, queue: str, eta: float | None) -> _Facts:
    identity = quote(task_id)
    return _Facts(
        identity,
        _quote_name(given.name),
        _quote_name(queue),
        _args_repr(given.args),
        _kwargs_repr(given.kwargs),
        "null" if eta is None else f'"{print_moment(eta)}"',
        "null" if given.expires is None else f'"{print_moment(given.expires)}"',
        identity if given.root_id is None else quote(given.root_id),
        "null" if given.parent_id is None else quote(given.parent_id),
    )


def print_moment(seconds: float) -> str:
    """A moment as Celery writes an eta: ISO 8601 with microseconds where there are any, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _args_repr(args: Json) -> str:
    if args == "[]":
        return '"()"'
    value = _load(args)
    if type(value) is not list:
        raise ValueError("args is not a JSON array")
    # A tuple, as `delay(2, 3)` has it, so that the same call looks the same whoever made it.
    return quote(_shorten(tuple(value), args))


def _kwargs_repr(kwargs: Json) -> str:
    if kwargs == "{}":
        return '"{}"'
    value = _load(kwargs)
    if type(value) is not dict:
        raise ValueError("kwargs is not a JSON object")
    return quote(_shorten(value, kwargs))


def _load(text: Json) -> object:
    # The scanner alone is five times as fast on small values; it stops where a value ends.
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else json.loads(text)


def _shorten(value: object, text: Json) -> str:
    """The shortened repr; Python's own where the two can't differ, for it is much faster."""
    plain = (
        len(text) < PLAIN_LENGTH
        and text.isascii()
        and text.isprintable()
        and "\\" not in text
        and "'" not in text
        and text.count("[") + text.count("{") <= MAX_LEVELS
    )
    if plain and len(found := repr(value)) < MAX_LENGTH:
        return found
    return shorten(value)


def _expiration(seconds: float) -> str:
    # Milliseconds as text, as AMQP has it; no broker of Redis reads it, other consumers may.
    return f'"expiration": "{int(max(0.0, seconds) * 1000)}", '


def _entry(given: Submission, facts: _Facts, now: float) -> bytes:
    """What the ledger keeps: enough for the whole task until more is heard of it."""
    retry_of = "null" if given.retry_of is None else quote(given.retry_of)
    priority = given.priority or 0
    return (
        f"[{now!r}, {facts.name}, {quote(given.args)}, {quote(given.kwargs)}, {facts.queue}, "
        f"{priority}, {facts.eta}, {facts.expires}, {facts.root_id}, {facts.parent_id}, {retry_of}]"
    ).encode()


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate can stand in JSON as its escape alone.
        return text.encode(errors="backslashreplace")


# The stubs name the class where the function stands.
_scan: Callable[[str, int], tuple[object, int]] = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]
_quote_name = lru_cache(maxsize=KNOWN_NAMES)(quote)
