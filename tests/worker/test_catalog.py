"""Schemas of task arguments, from the signatures of any Celery application."""

import enum
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict
from uuid import UUID

import pytest
from celery import Celery, Task

from umbel_worker.annotations import schema_of
from umbel_worker.catalog import DOC_LIMIT, arguments, catalog


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(TypedDict, total=False):
    x: float
    label: str | None


class Hostile(type):
    def __hash__(cls) -> int:
        raise RuntimeError

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError


class Bad(metaclass=Hostile):
    pass


@dataclass(frozen=True)
class AtLeast:
    """As in the annotated-types convention."""

    ge: float | None = None
    min_length: int | None = None


UNSAYABLE = object()
Name = NewType("Name", str)


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (int | float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (str, {"type": "string"}),
        (None, {"type": "null"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Colour, {"enum": ["red", "blue"]}),
        (Name, {"type": "string"}),
        (datetime, {"format": "date-time"}),
        (UUID, {"format": "uuid"}),
        (
            Point,
            {
                "type": "object",
                "properties": {
                    "x": {"type": "number"},
                    "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
                "required": [],
            },
        ),
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Annotated[int, {"minimum": 1}], {"type": "integer", "minimum": 1}),
        (Annotated[float, AtLeast(ge=0)], {"type": "number", "minimum": 0}),
        (Annotated[str, AtLeast(min_length=2)], {"type": "string", "minLength": 2}),
        (
            Annotated[list[int], AtLeast(min_length=2)],
            {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        ),
        (Any, {}),
        (object, {}),
        (bytes, {}),
        (set[int], {}),
        (Bad, {}),
        (int | bytes, {}),
        (Annotated[int, {"minimum": object()}], {}),
        ("not resolved", {}),
    ],
)
def test_an_annotation_becomes_what_json_schema_can_say_of_it(
    annotation: object, schema: dict[str, object]
) -> None:
    assert schema_of(annotation) == schema


def test_a_type_that_holds_itself_ends_somewhere() -> None:
    nested: Any = int
    for _ in range(50):
        nested = list[nested]
    assert json.dumps(schema_of(nested)).count("array") < 10


def test_arguments_are_named_in_order_with_what_is_required_and_default() -> None:
    def task(x: int, y: float = 1.5, *, loud: bool = False) -> None: ...

    assert arguments(task) == {
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "y": {"type": "number", "default": 1.5},
            "loud": {"type": "boolean", "default": False},
        },
        "required": ["x"],
        "additionalProperties": False,
        "x-positional": ["x", "y"],
    }


def test_arguments_without_annotations_may_be_anything() -> None:
    def task(x, y=None): ...  # type: ignore[no-untyped-def]

    assert arguments(task)["properties"] == {"x": {}, "y": {"default": None}}


def test_a_default_of_none_may_be_given_too() -> None:
    def task(x: int = None): ...  # type: ignore[no-untyped-def, assignment]  # noqa: RUF013

    kinds = [{"type": "integer"}, {"type": "null"}]
    assert arguments(task)["properties"]["x"] == {"anyOf": kinds, "default": None}


def test_any_number_of_further_arguments_is_said() -> None:
    def task(x: int, *rest: int, **more: str) -> None: ...

    schema = arguments(task)
    assert schema["x-positional"] == ["x"]
    assert schema["x-var-positional"] is True
    assert schema["additionalProperties"] == {"type": "string"}
    assert list(schema["properties"]) == ["x"]


def test_arguments_that_have_no_name_to_callers_are_said() -> None:
    def task(x: int, /, y: int) -> None: ...

    schema = arguments(task)
    assert schema["x-positional"] == ["x", "y"]
    assert schema["x-positional-only"] == ["x"]


def test_a_default_that_json_cannot_say_is_left_out_but_not_required() -> None:
    def task(x: Any = UNSAYABLE, y: float = math.nan) -> None: ...

    schema = arguments(task)
    assert schema["required"] == []
    assert schema["properties"] == {"x": {}, "y": {"type": "number"}}


def test_one_name_that_cannot_be_resolved_costs_the_types_only() -> None:
    def task(x: "Nowhere", y: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    schema = arguments(task)
    assert schema["required"] == ["x", "y"]
    assert schema["properties"]["x"] == {}


def test_what_has_no_signature_takes_anything() -> None:
    schema = arguments(max)
    assert schema["x-var-positional"] is True
    assert schema["additionalProperties"] is True


def some_tasks() -> Celery:
    app = Celery("some", set_as_current=False)

    @app.task(name="bound", bind=True, shared=False)
    def bound(self: Any, x: int) -> None:
        """What it does.

        More of it.
        """

    @app.task(name="retried", autoretry_for=(OSError,), shared=False)
    def retried(x: int) -> None: ...

    def long_winded() -> None: ...

    long_winded.__doc__ = "x" * (DOC_LIMIT + 1)
    app.task(name="long-winded", shared=False)(long_winded)

    class ByHand(Task):  # type: ignore[type-arg]
        """Written as a class."""

        name = "by-hand"

        def run(self, x: int, y: str = "a") -> None: ...

    app.register_task(ByHand())
    app.finalize()
    return app


def test_a_catalog_has_every_task_but_the_builtin_ones() -> None:
    found = catalog(some_tasks().tasks)
    ours = {name for name in found if not name.startswith("worker.")}  # shared by all applications
    assert ours == {"bound", "retried", "long-winded", "by-hand"}


def test_self_is_no_argument() -> None:
    found = catalog(some_tasks().tasks)
    for name in ("bound", "retried", "by-hand"):
        schema = found[name]["schema"]
        assert isinstance(schema, dict)
        assert schema["x-positional"][0] == "x"
        assert "self" not in schema["properties"]


def test_the_documentation_is_that_of_the_function_or_of_the_class() -> None:
    found = catalog(some_tasks().tasks)
    assert found["bound"]["doc"] == "What it does.\n\nMore of it."
    assert found["by-hand"]["doc"] == "Written as a class."
    assert found["retried"]["doc"] == ""
    assert len(str(found["long-winded"]["doc"])) == DOC_LIMIT


def test_the_sample_tasks_say_their_limits() -> None:
    from worker.tasks import app

    found = catalog(app.tasks)
    assert set(found) == {
        "worker.tasks.add",
        "worker.tasks.long_task",
        "worker.tasks.process_data",
    }
    seconds = found["worker.tasks.long_task"]["schema"]["properties"]["seconds"]  # type: ignore[index]
    assert seconds == {"type": "number", "minimum": 0, "maximum": 86_400}
    data = found["worker.tasks.process_data"]["schema"]["properties"]["data"]  # type: ignore[index]
    assert (data["minItems"], data["maxItems"]) == (1, 1_000_000)
    json.dumps(found, allow_nan=False)
