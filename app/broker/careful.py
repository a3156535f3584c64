"""The slow way of reading a message that the fast one refused: part by part, saving what it can.

What comes here is written by a stranger's serializer, by an application that returns NaN, by
a program in another language, or by somebody who means harm. Nothing is ever unpickled.
"""

import binascii
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TypeVar

import msgspec

from app.broker.envelope import WireEvent
from app.broker.wire import KINDS
from app.broker.wire_tasks import Custom, Extra
from app.domain.errors import BadInput
from app.domain.events import Event

JSON_TYPE = "application/json"
MSGPACK_TYPE = "application/x-msgpack"
WRONG_FIELD = "field of a wrong type"
TEXTS_OF_VALUES = frozenset({"args", "kwargs", "result", "exception", "message"})
"""Fields that hold the text of a value: some senders put the value itself there."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

S = TypeVar("S", bound=msgspec.Struct)


def read_message(payload: bytes, heard_at: float, reasons: Counter[str]) -> Iterator[Event]:
    """The events of a published message that can be understood; the rest counted in `reasons`."""
    try:
        found = _body(payload)
    except BadInput as error:
        reasons[str(error)] += 1
        return
    yield from read_events(found if isinstance(found, list) else [found], heard_at, reasons)


def read_events(given: Iterable[object], heard_at: float, reasons: Counter[str]) -> Iterator[Event]:
    """The decoded events that can be understood; the rest counted in `reasons`."""
    for one in given:
        try:
            yield _read_event(one, reasons).event(heard_at)
        except BadInput as error:
            reasons[str(error)] += 1


def loads(text: bytes | str) -> object:
    """A JSON document, also with NaN and lone surrogates in it. Raises BadInput."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        found: object = json.loads(text)
    except RecursionError:
        raise BadInput("nested too deeply") from None
    except ValueError:
        raise BadInput("not JSON") from None
    return found


def exact(value: object) -> msgspec.Raw | None:
    """A decoded value as JSON text again; None where JSON has no way to say it, such as NaN."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    except (ValueError, TypeError, RecursionError):
        return None
    return msgspec.Raw(_LONE_SURROGATE.sub("�", text).encode())


def repair(kind: type[S], given: Mapping[str, object], reasons: Counter[str]) -> S:
    """A structure of what fits; other fields are left out and counted.

    Raises BadInput where a field that it can't be without is missing or wrong.
    """
    found: dict[str, object] = {}
    for field in _fields(kind):
        if field.encode_name not in given:
            if field.required:
                raise BadInput(f"{field.name} missing")
            continue
        value = given[field.encode_name]
        if field.name == "umbel":
            found["umbel"] = repair(Extra, value, reasons) if isinstance(value, dict) else None
            continue
        if field.type is msgspec.Raw:
            if (raw := exact(value)) is not None:
                found[field.name] = raw
            continue
        try:
            found[field.name] = msgspec.convert(value, field.type)
        except (msgspec.ValidationError, OverflowError, RecursionError):
            if field.required:
                raise BadInput(f"{field.name} of a wrong type") from None
            reasons[WRONG_FIELD] += 1
            if field.name in TEXTS_OF_VALUES and (raw := exact(value)) is not None:
                found[field.name] = bytes(raw).decode()
    return kind(**found)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _body(payload: bytes) -> object:
    """What a message carries, decoded. Raises BadInput."""
    envelope = loads(payload)
    if not isinstance(envelope, dict) or "body" not in envelope:
        raise BadInput("not an envelope")
    headers = envelope.get("headers")
    if isinstance(headers, dict) and headers.get("compression"):
        raise BadInput("compressed")
    kind = envelope.get("content-type", JSON_TYPE)
    if kind == JSON_TYPE:
        return loads(_plain(envelope))
    if kind == MSGPACK_TYPE:
        return _unpack(_plain(envelope))
    raise BadInput("serializer")


def _plain(envelope: Mapping[str, object]) -> bytes:
    body = envelope["body"]
    if not isinstance(body, str):
        raise BadInput("body of a wrong type")
    properties = envelope.get("properties")
    encoding = properties.get("body_encoding") if isinstance(properties, dict) else "base64"
    if encoding != "base64":
        return body.encode("utf-8", "replace")
    try:
        return binascii.a2b_base64(body.encode("ascii", "replace"), strict_mode=True)
    except binascii.Error:
        raise BadInput("not base64") from None


def _unpack(body: bytes) -> object:
    try:
        return msgspec.msgpack.decode(body)
    except RecursionError:
        raise BadInput("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError, TypeError):
        raise BadInput("not msgpack") from None


def _read_event(one: object, reasons: Counter[str]) -> WireEvent:
    if not isinstance(one, dict):
        raise BadInput("not an event")
    name = one.get("type")
    if not isinstance(name, str):
        raise BadInput("event type missing")
    if kind := KINDS.get(name):
        return repair(kind, one, reasons)
    if name.startswith("task-") and "uuid" in one:
        return repair(Custom, {**one, "kind": name}, reasons)
    raise BadInput("unknown event type")
