"""A task message as it lies in a queue, or in the hash of what is handed out, and what it tells.

Anybody can put anything there. What is no task is nothing; what is half one is read as far
as it goes.
"""

from contextlib import suppress

import msgspec

from app.broker import texts
from app.broker.careful import JSON_TYPE
from app.broker.envelope import ABSENT
from app.domain.errors import BadInput
from app.domain.events import Json, TaskFound


class MessageHeaders(msgspec.Struct, gc=False):
    """Celery's headers of a task message, protocol 2."""

    id: str | None = None
    task: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    retries: int | None = None
    eta: str | float | None = None
    expires: str | float | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None


class DeliveryInfo(msgspec.Struct, gc=False):
    """Where a message was sent to."""

    routing_key: str | None = None


class MessageProperties(msgspec.Struct, gc=False):
    """What kombu needs of a message."""

    priority: int | None = None
    delivery_info: DeliveryInfo | None = None


class Message(msgspec.Struct, gc=False):
    """A message in a queue; kombu writes its body in base64."""

    body: bytes
    content_type: str = msgspec.field(name="content-type", default=JSON_TYPE)
    headers: MessageHeaders = msgspec.field(default_factory=MessageHeaders)
    properties: MessageProperties = msgspec.field(default_factory=MessageProperties)


class Call(msgspec.Struct, gc=False):
    """The body of protocol 1, which is all there is of such a message."""

    id: str
    task: str
    args: msgspec.Raw = ABSENT
    kwargs: msgspec.Raw = ABSENT
    retries: int | None = None
    eta: str | float | None = None
    expires: str | float | None = None


class _OwnId(msgspec.Struct, gc=False):
    id: str


class _Named(msgspec.Struct, gc=False):
    headers: _OwnId


_decode = msgspec.json.Decoder(Message).decode
_decode_named = msgspec.json.Decoder(_Named).decode
_decode_unacked = msgspec.json.Decoder(tuple[Message, str | None, str | None]).decode
_decode_arguments = msgspec.json.Decoder(tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw]).decode
_decode_call = msgspec.json.Decoder(Call).decode
_FOREIGN = (msgspec.MsgspecError, ValueError, RecursionError)
"""All that decoding a stranger's bytes can raise; UnicodeDecodeError is a ValueError."""


def read_queued(payload: bytes, queue: str | None, heard_at: float) -> TaskFound | None:
    """The task that a message in a list is; None where it is none."""
    try:
        return _found(_decode(payload), queue, heard_at)
    except (*_FOREIGN, BadInput):
        return None


def read_unacked(payload: bytes, heard_at: float) -> TaskFound | None:
    """The task that an entry of the unacked hash is; None where it is none."""
    try:
        message, _, routing_key = _decode_unacked(payload)
        return _found(message, routing_key, heard_at)
    except (*_FOREIGN, BadInput):
        return None


def queue_of_unacked(payload: bytes) -> str | None:
    """The queue that an entry of the unacked hash came from, as far as its routing key says."""
    try:
        return texts.name(_decode_unacked(payload)[2])
    except _FOREIGN:
        return None


def read_id(payload: bytes) -> str | None:
    """The id of the task that a message is; None where it is none. Nothing else is read of it."""
    with suppress(*_FOREIGN, BadInput):
        return texts.task_id(_decode_named(payload).headers.id)
    found = read_queued(payload, None, 0.0)
    return found.task_id if found else None


def _found(message: Message, queue: str | None, heard_at: float) -> TaskFound:
    headers = message.headers
    if headers.id is None or headers.task is None:
        return _found_by_body(message, queue, heard_at)
    own = texts.task_id(headers.id)
    args, kwargs = _arguments(message)
    return TaskFound(
        task_id=own,
        at=heard_at,
        heard_at=heard_at,
        name=texts.name(headers.task),
        args=args,
        kwargs=kwargs,
        args_repr=texts.shorten(headers.argsrepr, texts.REPR_LIMIT),
        kwargs_repr=texts.shorten(headers.kwargsrepr, texts.REPR_LIMIT),
        queue=_queue(message, queue),
        retries=texts.retries(headers.retries),
        priority=texts.priority(message.properties.priority),
        eta=texts.point_in_time(headers.eta),
        expires=texts.point_in_time(headers.expires),
        root_id=texts.root_id(headers.root_id),
        parent_id=texts.other_id(headers.parent_id, own),
        group_id=texts.other_id(headers.group, own),
    )


def _found_by_body(message: Message, queue: str | None, heard_at: float) -> TaskFound:
    call = _decode_call(message.body)
    return TaskFound(
        task_id=texts.task_id(call.id),
        at=heard_at,
        heard_at=heard_at,
        name=texts.name(call.task),
        args=texts.json_text(call.args),
        kwargs=texts.json_text(call.kwargs),
        queue=_queue(message, queue),
        retries=texts.retries(call.retries),
        priority=texts.priority(message.properties.priority),
        eta=texts.point_in_time(call.eta),
        expires=texts.point_in_time(call.expires),
    )


def _queue(message: Message, queue: str | None) -> str | None:
    sent_to = message.properties.delivery_info
    return texts.name(queue or (sent_to.routing_key if sent_to else None))


def _arguments(message: Message) -> tuple[Json | None, Json | None]:
    """The true arguments, where they are JSON."""
    if message.content_type != JSON_TYPE:
        return None, None
    try:
        args, kwargs, _ = _decode_arguments(message.body)
    except _FOREIGN:
        return None, None
    return texts.json_text(args), texts.json_text(kwargs)
