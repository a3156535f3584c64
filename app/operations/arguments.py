"""A task's arguments against the JSON Schema that its workers tell of it.

Schemas come from workers, which are not ours: they are compiled without any look-up elsewhere,
with regular expressions that can't run away, and one that is no schema allows everything.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json.scanner import make_scanner
from typing import Any, NamedTuple, TypeVar

import jsonschema_rs

from app.broker.message import Arguments
from app.domain.errors import FieldError
from app.domain.events import Json

COMPILED = 1_000
"""Compiled schemas kept: an application has some hundreds of tasks."""
ERRORS_SHOWN = 20
"""Errors told of one task; whoever made more will find the rest when these are mended."""
MESSAGE_LIMIT = 300
"""Characters of one error, which may quote the value."""

# What Python reads as infinity is written with three digits of exponent, or hundreds of digits.
_MAYBE_HUGE = re.compile(r"\d[eE]\+?\d{3}|\d{300}")
SHORTEST_HUGE = len("[1e309]")
"""Characters of the shortest arguments in which that can stand."""

Path = tuple[str | int, ...]
T = TypeVar("T", list[Any], dict[str, Any])


class Signature(NamedTuple):
    """A compiled schema, and what it says of arguments by position."""

    validator: Any
    is_valid: Callable[[Any], bool]
    positional: tuple[str, ...]
    positional_only: frozenset[str]
    any_number: bool


def read_arguments(args: Json, kwargs: Json) -> Arguments | FieldError:
    """The arguments that two JSON texts say, or what is wrong with them."""
    given = _read("args", args, list, "an array")
    named = {} if kwargs == "{}" else _read("kwargs", kwargs, dict, "an object")
    if isinstance(given, FieldError):
        return given
    return named if isinstance(named, FieldError) else Arguments(given, named)


def _read(field: str, text: Json, kind: type[T], name: str) -> T | FieldError:
    try:
        value = _load(text)
        if len(text) >= SHORTEST_HUGE and _MAYBE_HUGE.search(text):
            _check_finite(value)
    except RecursionError:
        return FieldError((field,), "is nested too deeply")
    except ValueError as error:
        return FieldError((field,), f"is not JSON: {error}")
    return value if type(value) is kind else FieldError((field,), f"must be {name}")


def _load(text: Json) -> object:
    # The scanner alone is many times as fast on small values; it stops where a value ends.
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else _decoder.decode(text)


@lru_cache(maxsize=COMPILED)
def compile_signature(schema: Json) -> Signature | None:
    """The schema ready for use; None for one that is none, which then allows everything."""
    try:
        document = json.loads(schema)
        validator = jsonschema_rs.validator_for(
            document, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
        return Signature(
            validator=validator,
            is_valid=validator.is_valid,
            positional=tuple(document.get("x-positional", ())),
            positional_only=frozenset(document.get("x-positional-only", ())),
            any_number=document.get("x-var-positional") is True,
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        # jsonschema-rs raises ValueErrors of its own.
        return None


def check(given: Arguments, signature: Signature) -> list[FieldError]:
    """What is wrong with these arguments, each with its place under `args` or `kwargs`."""
    fits = not given.kwargs and fits_by_position(given.args, signature)
    return [] if fits else _errors(given, signature)


def fits_by_position(args: Sequence[Any], signature: Signature) -> bool:
    """A call by position alone is right. False may also be not known."""
    names = signature.positional
    if len(args) > len(names):
        return False
    try:
        # Two loops of C: what is left over is seen above, or by the validator.
        return signature.is_valid(dict(zip(names, args))) is True  # noqa: B905
    except (ValueError, UnicodeEncodeError):
        return False


def _errors(given: Arguments, signature: Signature) -> list[FieldError]:
    errors = _check_call(given, signature)
    if errors:
        return errors
    bound = bind(given, signature)
    try:
        if signature.is_valid(bound):
            return []
        found = list(_first(signature.validator.iter_errors(bound)))
    except (ValueError, UnicodeEncodeError) as error:
        return [FieldError(("args",), f"can't be checked: {error}"[:MESSAGE_LIMIT])]
    return [told for error in found for told in _tell(error, given, signature)][:ERRORS_SHOWN]


def bind(given: Arguments, signature: Signature) -> Mapping[str, Any]:
    """The arguments by parameter name; further ones by position have no name and are left out."""
    if not given.args:
        return given.kwargs
    if not given.kwargs:
        return dict(zip(signature.positional, given.args, strict=False))
    return {**dict(zip(signature.positional, given.args, strict=False)), **given.kwargs}


def _check_call(given: Arguments, signature: Signature) -> list[FieldError]:
    """What Python itself would say of such a call."""
    names = signature.positional
    if len(given.args) > len(names) and not signature.any_number:
        allowed = f"at most {len(names)} by position ({', '.join(names)})" if names else "none"
        return [FieldError(("args", len(names)), f"is one too many; allowed: {allowed}")]
    if not given.kwargs:
        return []
    errors = []
    for name in names[: len(given.args)]:
        if name in given.kwargs and name not in signature.positional_only:
            errors.append(FieldError(("kwargs", name), "is given by position already"))
    for name in sorted(signature.positional_only & given.kwargs.keys()):
        errors.append(FieldError(("kwargs", name), "can be given by position only"))
    return errors


def _tell(error: Any, given: Arguments, signature: Signature) -> list[FieldError]:
    path: Sequence[str | int] = error.instance_path
    kind = error.kind
    if not path and kind.name == "required":
        missing = kind.property
        return [FieldError(_place(missing, signature, len(signature.positional)), "is required")]
    if not path and kind.name == "additionalProperties":
        names = ", ".join(signature.positional) or "none by position"
        allowed = f"is not one of its arguments; allowed: {names}"
        return [FieldError(("kwargs", name), allowed) for name in kind.unexpected]
    place = _place(path[0], signature, len(given.args)) if path else ("kwargs",)
    return [FieldError((*place, *path[1:]), str(error.message)[:MESSAGE_LIMIT])]


def _place(name: str | int, signature: Signature, by_position: int) -> Path:
    positions = signature.positional[:by_position]
    return ("args", positions.index(str(name))) if name in positions else ("kwargs", str(name))


def _first(errors: Any) -> Any:
    for _, error in zip(range(ERRORS_SHOWN), errors, strict=False):
        yield error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")


def _check_finite(value: Any) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError("a number is too large")
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())


_decoder = json.JSONDecoder(parse_constant=_refuse)
# The stubs name the class where the function stands.
_scan: Callable[[str, int], tuple[object, int]] = make_scanner(_decoder)  # type: ignore[arg-type]
