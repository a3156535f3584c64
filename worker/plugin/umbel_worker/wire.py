"""What goes over the wire: an event's JSON, kombu's envelope around it, an entry of the stream.

The envelope is what kombu publishes for Celery's own dispatcher, written by hand because kombu's
way through it takes longer than everything else here together.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from kombu.utils.json import JSONEncoder

STREAM = "umbel:events"
ENTRIES = 1_000_000
"""Entries of the stream at most: what bounds it where Redis does not tell its size in bytes."""
LARGEST_EVENT = 1_048_576
"""Characters of an event's JSON; of a larger one the long fields are cut."""
LONGEST_FIELD = 10_000
"""Characters that a field is cut to in such an event."""

_encode = JSONEncoder(separators=(",", ":")).encode
_quote = json.dumps


def stream_key(keyprefix: str) -> str:
    """The stream of an application with this `global_keyprefix`."""
    return f"{STREAM}:{keyprefix}" if keyprefix else STREAM


def event_json(event: Mapping[str, Any]) -> str:
    """The event as JSON. Never raises: what JSON cannot say is written as its repr."""
    try:
        text = _encode(event)
    except Exception:  # foreign objects may fail in any way
        text = _encode({key: _sayable(value) for key, value in event.items()})
    if len(text) > LARGEST_EVENT:
        text = _encode({key: _shortened(value) for key, value in event.items()})
    return text


def _sayable(value: object) -> object:
    try:
        _encode(value)
    except Exception:
        return _repr(value)
    return value


def _shortened(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else _repr(value)
    return text if len(text) <= LONGEST_FIELD else text[:LONGEST_FIELD] + "…"


def _repr(value: object) -> str:
    try:
        return repr(value)[:LONGEST_FIELD]
    except Exception:
        return f"<{type(value).__name__}>"


def envelope(exchange: str, routing_key: str, hostname: str, number: int, body: str) -> str:
    """One message of Celery's event exchange; the header `umbel` is its first event's number."""
    return (
        f'{{"body": "{b64encode(body.encode()).decode()}", "content-encoding": "utf-8", '
        f'"content-type": "application/json", '
        f'"headers": {{"hostname": {_quote(hostname)}, "umbel": {number}}}, '
        f'"properties": {{"delivery_mode": 1, "delivery_info": {{"exchange": {_quote(exchange)}, '
        f'"routing_key": {_quote(routing_key)}}}, "priority": 0, "body_encoding": "base64", '
        f'"delivery_tag": "{uuid4()}"}}}}'
    )


def entry(producer: str, number: int, events: Sequence[str], dropped: int) -> list[str | int]:
    """The fields of a stream entry with these events, numbered from `number` on."""
    fields: list[str | int] = ["p", producer, "n", number, "e", f"[{','.join(events)}]"]
    return [*fields, "d", dropped] if dropped else fields
