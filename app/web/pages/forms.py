"""Forms for tasks, made from the schemas of their arguments, and read back."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from app.domain.errors import FieldError
from app.domain.events import Json
from app.operations.catalog import Catalog, Entry
from app.web.language import gettext as _
from app.web.language import marked
from app.web.pages.formats import capital

ENUM_LIMIT = 100
"""Choices offered in a list; a longer enumeration is typed."""
FIRST_LINE = 160
"""Characters of a task's description beside its name."""

_NUMBER = re.compile(r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$")
_WORDS = {
    "number": marked("a number"),
    "integer": marked("a whole number"),
    "boolean": marked("yes or no"),
    "array": marked("a JSON list"),
    "object": marked("a JSON object"),
    "json": marked("JSON"),
    "string": marked("text"),
}
ARGS, KWARGS = "args", "kwargs"


@dataclass(frozen=True, slots=True)
class Field:
    """One argument: `kind` is the type of input, `text` what stands in it."""

    name: str
    kind: str
    required: bool
    hint: str
    text: str = ""
    error: str = ""
    choices: tuple[str, ...] = ()
    least: str = ""
    most: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A task that can be submitted. `fields` are empty where its arguments aren't known."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    schema: Mapping[str, Any] | None
    workers: int

    @property
    def first_line(self) -> str:
        line = self.doc.strip().split("\n", 1)[0]
        return line if len(line) <= FIRST_LINE else line[: FIRST_LINE - 1] + "…"


@dataclass(frozen=True, slots=True)
class Answer:
    """A form that was sent back: the call that it stands for, and what is wrong with it."""

    args: Json
    kwargs: Json
    fields: tuple[Field, ...]
    errors: tuple[FieldError, ...]


def offers(catalog: Catalog) -> tuple[Offer, ...]:
    """Every task that an online worker has registered, by name."""
    return tuple(_offer(entry) for entry in catalog.entries.values())


def answer(offer: Offer, form: Mapping[str, str]) -> Answer:
    """What a form says. Its fields hold what was typed, so that nothing is lost by a mistake."""
    fields = tuple(_filled(field, form) for field in offer.fields)
    values: dict[str, Json] = {}
    read = []
    for field in fields:
        value, error = _value(field)
        read.append(replace(field, error=error))
        if value is not None and not error:
            values[field.name] = value
    errors = tuple(FieldError((field.name,), field.error) for field in read if field.error)
    args, kwargs = _call(offer, values)
    return Answer(args, kwargs, tuple(read), errors)


def blamed(fields: Iterable[Field], errors: Iterable[FieldError]) -> tuple[Field, ...]:
    """The fields with the errors that are about them."""
    messages: dict[str, str] = {}
    for error in errors:
        for part in error.loc:
            messages.setdefault(str(part), error.msg)
    return tuple(
        replace(field, error=field.error or messages.get(field.name, "")) for field in fields
    )


def _offer(entry: Entry) -> Offer:
    # While two versions of an application run, the form is that of the one met first.
    schema = msgspec.json.decode(entry.schemas[0], type=dict[str, Any]) if entry.schemas else None
    fields = _fields(schema) if schema is not None else _any_fields()
    return Offer(entry.name, entry.doc or "", fields, schema, len(entry.workers))


def _any_fields() -> tuple[Field, ...]:
    return (
        Field(ARGS, "array", False, _("A JSON list, such as [1, 2]")),
        Field(KWARGS, "object", False, _('A JSON object, such as {"x": 1}')),
    )


def _fields(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    properties = schema.get("properties") or {}
    required = schema.get("required") or ()
    fields = [_field(name, part, name in required) for name, part in properties.items()]
    if schema.get("x-var-positional"):
        fields.append(Field(ARGS, "array", False, _("Further arguments, as a JSON list")))
    if schema.get("additionalProperties") not in (False, None):
        fields.append(
            Field(KWARGS, "object", False, _("Further named arguments, as a JSON object"))
        )
    return tuple(fields)


def _field(name: str, part: Any, required: bool) -> Field:
    if not isinstance(part, dict):
        return Field(name, "json", required, "JSON")
    kind = _kind(part)
    choices = part.get("enum") or ()
    shown = tuple(json.dumps(one, ensure_ascii=False) for one in choices[:ENUM_LIMIT])
    text = "" if "default" not in part else _shown(part["default"], kind)
    return Field(
        name,
        "choice" if shown and len(choices) <= ENUM_LIMIT else kind,
        required,
        str(part.get("description") or _hint(part, kind)),
        text=text,
        choices=shown,
        least=str(part.get("minimum", "")),
        most=str(part.get("maximum", "")),
    )


def _kind(part: Mapping[str, Any]) -> str:
    kinds = part.get("type")
    given = kinds if isinstance(kinds, list) else [kinds]
    for option in part.get("anyOf") or ():
        given.append(option.get("type") if isinstance(option, dict) else None)
    named = [kind for kind in given if kind not in (None, "null")]
    return str(named[0]) if len(named) == 1 and named[0] in _WORDS else "json"


def _hint(part: Mapping[str, Any], kind: str) -> str:
    words = _(_WORDS[kind])
    items = part.get("items")
    if kind == "array" and isinstance(items, dict) and items.get("type") in ("number", "integer"):
        words = _("numbers, separated by commas")
    if "minimum" in part and "maximum" in part:
        least, most = f"{part['minimum']:,}", f"{part['maximum']:,}"
        words = _("%(what)s from %(least)s to %(most)s", what=words, least=least, most=most)
    elif "minimum" in part:
        least = f"{part['minimum']:,}"
        words = _("%(what)s, %(least)s or more", what=words, least=least)
    return capital(words)


def _shown(value: object, kind: str) -> str:
    if value is None:
        return ""
    if kind == "string" and isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _filled(field: Field, form: Mapping[str, str]) -> Field:
    if field.kind == "boolean":
        return replace(field, text="true" if form.get("arg." + field.name) else "false")
    return replace(field, text=form.get("arg." + field.name, ""))


def _value(field: Field) -> tuple[Json | None, str]:
    """The JSON text of what was typed, and what is wrong with it."""
    text = field.text.strip()
    if field.kind == "string" and (field.text or field.required):
        return json.dumps(field.text, ensure_ascii=False), ""
    if not text:
        return None, _("It has to be given.") if field.required else ""
    match field.kind:
        case "number" | "integer":
            wrong = (
                "" if _NUMBER.match(text) else _("%(text)s is not a number.", text=repr(text[:40]))
            )
            return text, wrong
        case "array" if not text.startswith("["):
            text = f"[{text.rstrip(',')}]"
    try:
        found = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        return None, _("It is not JSON: %(error)s.", error=error)
    if field.kind == "object" and not isinstance(found, dict):
        return None, _('It has to be a JSON object, such as {"x": 1}.')
    if field.kind == "array" and not isinstance(found, list):
        return None, _("It has to be a JSON list, such as [1, 2].")
    return text, ""


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _call(offer: Offer, values: dict[str, Json]) -> tuple[Json, Json]:
    """Arguments by name, but by position where a task takes them in no other way."""
    schema = offer.schema or {}
    further = values.pop(ARGS, None) if _takes_more(offer) else None
    named = values.pop(KWARGS, None) if _takes_named(offer) else None
    first = list(schema.get("x-positional-only") or ())
    if further is not None and further.strip("[] \n\t"):
        first = list(schema.get("x-positional") or ())
    positional = [values.pop(name) for name in first if name in values]
    inner = (further or "[]").strip()[1:-1].strip()
    args = "[" + ", ".join([*positional, *([inner] if inner else [])]) + "]"
    pairs = [f"{json.dumps(name)}: {value}" for name, value in values.items()]
    rest = (named or "{}").strip()[1:-1].strip()
    kwargs = "{" + ", ".join([*pairs, *([rest] if rest else [])]) + "}"
    return args, kwargs


def _takes_more(offer: Offer) -> bool:
    return offer.schema is None or bool(offer.schema.get("x-var-positional"))


def _takes_named(offer: Offer) -> bool:
    schema = offer.schema
    return schema is None or schema.get("additionalProperties") not in (False, None)
