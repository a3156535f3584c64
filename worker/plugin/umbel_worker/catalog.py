"""What tasks this worker has, with their arguments, for whoever asks.

Celery workers tell the names of their tasks only. This adds one inspect command, `umbel_catalog`,
that answers `{task name: {"doc": str, "schema": JSON Schema of the arguments}}`. It depends on
Celery alone and works for the tasks of any application.

The schema describes the arguments as an object by parameter name. `x-positional` lists the names
that may be given by position, in order; `x-positional-only` those that may be given in no other
way; `x-var-positional` is true where any number of further positional arguments is taken.
"""

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from celery import Task
from celery.worker.control import inspect_command

from umbel_worker.annotations import Schema, any_of, schema_of

DOC_LIMIT = 2_000
"""Characters of a docstring that are sent; the first lines are what a form shows."""

Entry: TypeAlias = dict[str, str | Schema]

ANYTHING: Schema = {
    "type": "object",
    "properties": {},
    "required": [],
    "additionalProperties": True,
    "x-positional": [],
    "x-var-positional": True,
}
"""For a task whose signature cannot be read: it takes what it is given."""


def install() -> None:
    """Make every worker of this process answer `umbel_catalog`."""
    inspect_command(name="umbel_catalog", default_timeout=2.0)(umbel_catalog)


def umbel_catalog(state: Any, **_: object) -> dict[str, Entry]:
    """Registered tasks with their documentation and a JSON Schema of their arguments."""
    return catalog(state.app.tasks)


def catalog(tasks: Mapping[str, "Task[Any, Any]"]) -> dict[str, Entry]:
    """Every task but Celery's own, by name."""
    return {
        name: {"doc": documentation(task), "schema": arguments(task.run)}
        for name, task in sorted(tasks.items())
        if not name.startswith("celery.")
    }


def documentation(task: "Task[Any, Any]") -> str:
    """The docstring of the task's function, or its own where it is a class; else an empty text."""
    own = getattr(task.run, "__doc__", None)
    if not own and type(task).__doc__ != Task.__doc__:
        own = type(task).__doc__
    return inspect.cleandoc(own if isinstance(own, str) else "")[:DOC_LIMIT]


def arguments(run: Callable[..., object]) -> Schema:
    """The JSON Schema of what `run` takes; ANYTHING where it does not tell."""
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):
        return ANYTHING
    hints = _hints(run)
    schema: Schema = {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
        "x-positional": [],
    }
    for parameter in signature.parameters.values():
        _add(schema, parameter, schema_of(hints.get(parameter.name, parameter.annotation)))
    return schema


def _add(schema: Schema, parameter: inspect.Parameter, kind: Schema) -> None:
    if parameter.kind is parameter.VAR_POSITIONAL:
        schema["x-var-positional"] = True
        return
    if parameter.kind is parameter.VAR_KEYWORD:
        schema["additionalProperties"] = kind or True
        return
    if parameter.kind is not parameter.KEYWORD_ONLY:
        schema["x-positional"].append(parameter.name)
    if parameter.kind is parameter.POSITIONAL_ONLY:
        schema.setdefault("x-positional-only", []).append(parameter.name)
    if parameter.default is parameter.empty:
        schema["required"].append(parameter.name)
    elif _is_json(parameter.default):
        kind = {**_allowing(parameter.default, kind), "default": parameter.default}
    schema["properties"][parameter.name] = kind


def _allowing(default: object, kind: Schema) -> Schema:
    """`x: int = None` takes None as well, whatever its annotation says."""
    return any_of([kind, {"type": "null"}]) if default is None and kind else kind


def _hints(run: Callable[..., object]) -> dict[str, Any]:
    """Annotations with their names resolved; none where one of them cannot be."""
    try:
        return typing.get_type_hints(inspect.unwrap(run), include_extras=True)
    except Exception:  # an annotation may be any expression, and fail in any way
        return {}


def _is_json(value: object) -> bool:
    """Whether JSON can say it, as it is: a set or NaN as a default is left out."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
