"""Bodies as checked values, and refusals that name the field, what was given and what may be."""

import json
import re
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec
from msgspec import DecodeError, Struct, UnsetType, ValidationError
from starlette.types import Receive, Scope

from app.domain.errors import BadInput, FieldError
from app.domain.events import Json

SHOWN = 60
"""Characters of a refused value that are shown: enough to recognise it."""
KEY_LIMIT = 255
"""Characters of an idempotency key: it becomes part of a Redis key."""

T = TypeVar("T")

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PHRASES = (
    (re.compile(r"^Number out of range$"), "a finite number"),
    (re.compile(r"^Integer value out of range$"), "a number of fewer digits"),
    (re.compile(r"^Expected `array` of length >= (\d+)$"), r"a list of \1 or more"),
    (re.compile(r"^Expected `array` of length <= (\d+)$"), r"a list of at most \1"),
    (re.compile(r"^Expected `str` of length >= (\d+)$"), r"a text of \1 or more characters"),
    (re.compile(r"^Expected `str` of length <= (\d+)$"), r"a text of at most \1 characters"),
    (re.compile(r"^Expected `(?:int|float)` >= (\d+)(?:\.0)?$"), r"a number of at least \1"),
    (re.compile(r"^Expected `(?:int|float)` <= (\d+)(?:\.0)?$"), r"a number of at most \1"),
)
_MISSING = object()


async def read_body(receive: Receive) -> bytes | None:
    """The request's body; None where nobody waits for the answer any more. Raises TooLarge."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def decode(data: bytes, kind: type[T]) -> T:
    """JSON text as a checked value. Raises BadInput."""
    try:
        decoded: T = _decoders[kind].decode(data)
        return decoded
    except ValidationError as error:
        raise _refusal(data, kind, str(error)) from None
    except RecursionError:
        raise _invalid("is nested too deeply") from None
    except (DecodeError, UnicodeDecodeError) as error:
        if path := _non_finite(data):
            raise _one(
                ("body", *path), "must be a finite number; NaN and Infinity are none"
            ) from None
        raise _invalid(f"is not valid JSON ({error})" if data else "is empty") from None


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key header. Raises BadInput for one that can't be used."""
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            key: str = value.decode("latin-1")
            if not _KEY.match(key):
                allowed = f"1 to {KEY_LIMIT} visible ASCII characters"
                loc = ("header", "Idempotency-Key")
                error = FieldError(loc, f"is {_shown(key)}; allowed: {allowed}")
                raise BadInput("The idempotency key can't be used.", (error,))
            return key
    return None


def json_text(raw: msgspec.Raw | UnsetType, kind: type[T], loc: Sequence[str | int]) -> Json | None:
    """The text of an embedded JSON value that has to be `kind`; None where there is none."""
    return None if isinstance(raw, UnsetType) else read_json(raw, kind, loc)[0]


def read_json(raw: msgspec.Raw, kind: type[T], loc: Sequence[str | int]) -> tuple[Json, T]:
    """An embedded JSON value that has to be `kind`: its text, and the value itself."""
    try:
        text, value = str(raw, "utf-8"), _decoders[kind].decode(raw)
    except ValidationError as error:
        what, path = _parted(str(error))
        given = _given(bytes(raw), path)
        raise _one((*loc, *path), f"{_plain(what)}{_but(given)}") from None
    except RecursionError:
        raise _one(tuple(loc), "is nested too deeply") from None
    except UnicodeDecodeError:
        raise _one(tuple(loc), "is not valid UTF-8") from None
    if "\n" in text or "\r" in text:
        # A frame of a stream can't have line breaks in it. Numbers stay as they are.
        text = msgspec.json.format(text, indent=-1)
    return text, value


class _Decoders(dict[type[object], msgspec.json.Decoder[Any]]):
    def __missing__(self, kind: type[object]) -> msgspec.json.Decoder[Any]:
        made = self[kind] = msgspec.json.Decoder(kind)
        return made


_decoders = _Decoders()


def _invalid(what: str) -> BadInput:
    return BadInput(f"The body {what}.", (FieldError(("body",), f"the body {what}"),))


def _one(loc: tuple[str | int, ...], msg: str) -> BadInput:
    where = ".".join(str(step) for step in loc[1:]) or "The body"
    return BadInput(f"{where}: {msg}.", (FieldError(loc, msg),))


def _refusal(data: bytes, kind: type[object], message: str) -> BadInput:
    text, path = _parted(message)
    if field := _FIELD.match(text):
        name = field[2]
        if field[1] == "missing required":
            return _one(("body", *path, name), "is required")
        allowed = ", ".join(_fields(kind, path))
        return _one(("body", *path, name), f"is not a known field; allowed: {allowed}")
    return _one(("body", *path), f"{_plain(text)}{_but(_given(data, path))}")


def _parted(message: str) -> tuple[str, tuple[str | int, ...]]:
    """msgspec's sentence, and the way to the value that it is about."""
    text, _, place = message.partition(" - at ")
    known = place.replace("`", "").split("[...]")[0]  # it does not tell a dictionary's key
    return text, tuple(name or int(index) for name, index in _STEP.findall(known))


def _plain(text: str) -> str:
    """msgspec's "Expected `int`, got `str`" in words for people."""
    for pattern, words in _PHRASES:
        if pattern.match(text):
            return "must be " + pattern.sub(words, text)
    kinds = text.removeprefix("Expected `").split("`")[0].split(" | ")
    named = [_TYPES.get(kind, kind) for kind in kinds if (kind, "float" in kinds) != ("int", True)]
    return "must be " + " or ".join(named)


def _but(given: object) -> str:
    return "" if given is _MISSING else f"; given was {_shown(given)}"


def _given(data: bytes, path: Sequence[str | int]) -> object:
    """What stands at `path` in refused JSON; `_MISSING` where it can't be told."""
    try:
        raw = msgspec.Raw(data)
        for step in path:
            inside: object = (
                msgspec.json.decode(raw, type=list[msgspec.Raw])[step]
                if isinstance(step, int)
                else msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[step]
            )
            raw = cast(msgspec.Raw, inside)
    except (DecodeError, KeyError, IndexError, RecursionError):
        return _MISSING
    return raw


def _non_finite(data: bytes) -> tuple[str | int, ...] | None:
    """Where the first NaN or Infinity stands, which JSON does not have but Python writes."""
    try:
        document = json.loads(data, parse_constant=lambda _: _MISSING)
    except (ValueError, RecursionError):
        return None
    return _path_to(document)


def _path_to(document: object) -> tuple[str | int, ...] | None:
    """The way to the first value that is `_MISSING`; breadth first, so no depth is too deep."""
    ahead: deque[tuple[tuple[str | int, ...], object]] = deque([((), document)])
    while ahead:
        path, value = ahead.popleft()
        if value is _MISSING:
            return path
        if isinstance(value, dict):
            ahead.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            ahead.extend(((*path, index), inner) for index, inner in enumerate(value))
    return None


def _shown(given: object) -> str:
    if isinstance(given, msgspec.Raw):
        text = bytes(given)[: SHOWN * 4].decode(errors="replace").strip()
    else:
        text = ascii(given)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _fields(kind: type[object], path: Sequence[str | int]) -> tuple[str, ...]:
    """The fields allowed at `path`: of the body itself, or of each task in a batch."""
    if path and isinstance(path[-1], int):
        from app.web.api.bodies import Submit

        kind = Submit
    return cast(type[Struct], kind).__struct_fields__
