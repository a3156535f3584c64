"""From a type annotation to a JSON Schema, as far as JSON can say it.

An empty schema means "anything": for no annotation, and for types that are not JSON's. A wrong
promise would refuse calls that work, so whatever is not certain is left open.
"""

import collections.abc
import datetime
import enum
import json
import types
import typing
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

Schema: TypeAlias = dict[str, Any]

DEPTH = 8
"""Levels of nesting that are described: deeper ones are "anything"."""

PLAIN: Mapping[Any, Schema] = {
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    # No "type" here: Celery's own JSON has objects for these, a person writes a text.
    datetime.datetime: {"format": "date-time"},
    datetime.date: {"format": "date"},
    uuid.UUID: {"format": "uuid"},
}
ARRAYS = (
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
KEYWORDS: Mapping[str, Mapping[str, str]] = {
    "number": {
        "ge": "minimum",
        "gt": "exclusiveMinimum",
        "le": "maximum",
        "lt": "exclusiveMaximum",
        "multiple_of": "multipleOf",
    },
    "string": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "array": {"min_length": "minItems", "max_length": "maxItems"},
    "object": {"min_length": "minProperties", "max_length": "maxProperties"},
}
"""The constraints of the `annotated-types` convention, which pydantic follows, by JSON type."""


def schema_of(annotation: Any, depth: int = DEPTH) -> Schema:
    """The schema of one annotation. Never raises: what is not understood is "anything"."""
    if depth == 0:
        return {}
    try:
        return _schema_of(annotation, depth - 1)
    except Exception:  # foreign classes may do anything when looked at
        return {}


def _schema_of(annotation: Any, depth: int) -> Schema:
    origin = get_origin(annotation)
    if origin is None:
        return _plain(annotation, depth)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        return _constrained(schema_of(inner, depth), extras)
    if origin is Literal:
        return _choice(get_args(annotation))
    if origin in (Union, types.UnionType):
        return any_of([schema_of(member, depth) for member in get_args(annotation)])
    if origin in (typing.Required, typing.NotRequired):
        return schema_of(get_args(annotation)[0], depth)
    return _container(origin, get_args(annotation), depth)


def _plain(annotation: Any, depth: int) -> Schema:
    if isinstance(annotation, collections.abc.Hashable) and annotation in PLAIN:
        return dict(PLAIN[annotation])
    if isinstance(annotation, typing.NewType):
        return schema_of(annotation.__supertype__, depth)
    if value := getattr(annotation, "__value__", None):  # a `type X = …` statement
        return schema_of(value, depth)
    if typing.is_typeddict(annotation):
        return _typed_dict(annotation, depth)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choice(tuple(member.value for member in annotation))
    return {}


def _container(origin: Any, members: tuple[Any, ...], depth: int) -> Schema:
    if origin in ARRAYS:
        return {"type": "array", "items": schema_of(members[0], depth)}
    if origin in OBJECTS:
        return {"type": "object", "additionalProperties": schema_of(members[1], depth)}
    if origin is tuple and len(members) == 2 and members[1] is Ellipsis:
        return {"type": "array", "items": schema_of(members[0], depth)}
    if origin is tuple:
        each = [schema_of(member, depth) for member in members]
        return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}
    return {}


def _typed_dict(annotation: Any, depth: int) -> Schema:
    hints = typing.get_type_hints(annotation, include_extras=True)
    return {
        "type": "object",
        "properties": {name: schema_of(hint, depth) for name, hint in hints.items()},
        "required": sorted(annotation.__required_keys__),
    }


def _choice(values: tuple[Any, ...]) -> Schema:
    """One of the given values, where JSON has them all."""
    if any(not isinstance(value, str | int | float | bool | None) for value in values):
        return {}
    return {"enum": list(values)}


def any_of(members: list[Schema]) -> Schema:
    """Any of the members; one of them "anything" makes all of it that."""
    if {} in members:
        return {}
    if {"type": "number"} in members:
        members = [member for member in members if member != {"type": "integer"}]
    return members[0] if len(members) == 1 else {"anyOf": members}


def _constrained(schema: Schema, extras: list[Any]) -> Schema:
    """With what `Annotated` adds: a text describes, a mapping holds JSON Schema's own keywords,
    and the constraints of `annotated-types` and pydantic's Field are translated."""
    for extra in _flat(extras):
        if isinstance(extra, str):
            schema = {"description": extra, **schema}
        elif isinstance(extra, Mapping):
            schema = {**schema, **json.loads(json.dumps(extra, allow_nan=False))}
        else:
            schema = {**schema, **_constraints(schema, extra)}
    return schema


def _flat(extras: list[Any]) -> list[Any]:
    """Extras in the order given, those that pydantic's Field carries included."""
    found: list[Any] = []
    for extra in extras:
        found += [extra, *getattr(extra, "metadata", [])]
    return found


def _constraints(schema: Schema, extra: Any) -> Schema:
    kind = "number" if schema.get("type") == "integer" else schema.get("type", "")
    found = {
        keyword: getattr(extra, attribute)
        for attribute, keyword in KEYWORDS.get(kind, {}).items()
        if isinstance(getattr(extra, attribute, None), str | int | float)
    }
    if isinstance(description := getattr(extra, "description", None), str):
        found["description"] = description
    return found
