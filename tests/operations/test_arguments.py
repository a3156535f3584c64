"""Arguments against the schemas that workers tell of their tasks."""

import json
from typing import Any

import pytest

from app.domain.errors import FieldError
from app.operations.arguments import Arguments, Signature, check, compile_signature, read_arguments
from app.operations.samples import SAMPLES
from umbel_worker.catalog import catalog
from worker.celery_app import app as sample_application

sample_application.loader.import_default_modules()

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "x": {"type": "number"},
        "colour": {"enum": ["red", "blue"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["x"],
    "additionalProperties": False,
    "x-positional": ["x", "colour"],
}


def signature(**changes: object) -> Signature:
    found = compile_signature(json.dumps({**SCHEMA, **changes}))
    assert found is not None
    return found


def problems(args: list[Any], kwargs: dict[str, Any], **changes: object) -> list[FieldError]:
    return check(Arguments(args, kwargs), signature(**changes))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([1], {}),
        ([1.5, "red"], {}),
        ([], {"x": 2, "colour": "blue", "tags": ["a"]}),
        ([10**40], {"tags": []}),
    ],
)
def test_arguments_that_fit_are_let_through(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert problems(args, kwargs) == []


@pytest.mark.parametrize(
    ("args", "kwargs", "loc", "words"),
    [
        (["a"], {}, ("args", 0), "number"),
        ([True], {}, ("args", 0), "number"),
        ([], {"x": "a"}, ("kwargs", "x"), "number"),
        ([1, "green"], {}, ("args", 1), "red"),
        ([1], {"tags": ["a", 2]}, ("kwargs", "tags", 1), "string"),
        ([], {"colour": "red"}, ("args", 0), "required"),
        ([1, "red", 3], {}, ("args", 2), "at most 2 by position"),
        ([1], {"x": 2}, ("kwargs", "x"), "by position already"),
        ([1], {"size": 2}, ("kwargs", "size"), "allowed"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_what_is_allowed(
    args: list[Any], kwargs: dict[str, Any], loc: tuple[str | int, ...], words: str
) -> None:
    (error,) = problems(args, kwargs)
    assert error.loc == loc
    assert words in error.msg


def test_further_positional_arguments_are_taken_where_the_function_takes_them() -> None:
    assert problems([1, "red", 3, 4], {}, **{"x-var-positional": True}) == []


def test_a_positional_only_argument_cannot_be_named() -> None:
    only = {"x-positional-only": ["x"]}
    assert problems([1], {}, **only) == []
    (error,) = problems([1], {"x": 2}, **only)
    assert "position only" in error.msg


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ("[1", "{}"),
        ("{}", "{}"),
        ("[]", "[]"),
        ("[NaN]", "{}"),
        ("[1e999]", "{}"),
        ("[]", '{"x": [-Infinity]}'),
        ("[]", '{"x": [{"y": -1E+400}]}'),
        ("[" * 100_000 + "]" * 100_000, "{}"),
        (f"[{'9' * 5000}]", "{}"),
    ],
)
def test_what_is_no_json_or_not_finite_is_refused(args: str, kwargs: str) -> None:
    assert isinstance(read_arguments(args, kwargs), FieldError)


def test_a_large_but_finite_number_is_none_of_these() -> None:
    assert read_arguments(f"[1e100, {10**400}]", "{}") == Arguments([1e100, 10**400], {})


@pytest.mark.parametrize(
    "schema",
    [
        "no JSON",
        "[]",
        "1",
        '{"type": 12}',
        '{"$ref": "http://127.0.0.1:9/schema.json"}',
        '{"x-positional": 3}',
    ],
)
def test_a_schema_that_is_none_allows_everything_and_reaches_out_to_nobody(schema: str) -> None:
    found = compile_signature(schema)
    assert found is None or check(Arguments([], {"x": 1}), found) == []


def test_the_samples_are_what_the_sample_worker_tells() -> None:
    told = catalog(sample_application.tasks)
    assert set(SAMPLES) == set(told)
    for name, (_, schema) in SAMPLES.items():
        theirs, ours = told[name]["schema"], json.loads(schema)
        assert isinstance(theirs, dict)
        assert ours["x-positional"] == theirs["x-positional"]
        assert set(ours["properties"]) == set(theirs["properties"])
        assert sorted(ours["required"]) == sorted(theirs["required"])


@pytest.mark.parametrize(
    ("name", "args", "fits"),
    [
        ("worker.tasks.add", [1, 2.5], True),
        ("worker.tasks.add", [1, "2"], False),
        ("worker.tasks.add", [1], False),
        ("worker.tasks.long_task", [0], True),
        ("worker.tasks.long_task", [86_400], True),
        ("worker.tasks.long_task", [86_400.5], False),
        ("worker.tasks.long_task", [-1], False),
        ("worker.tasks.process_data", [[1, 2.5]], True),
        ("worker.tasks.process_data", [[]], False),
        ("worker.tasks.process_data", [[1, None]], False),
    ],
)
def test_samples_are_checked_alike_by_us_and_by_what_their_worker_tells(
    name: str, args: list[Any], fits: bool
) -> None:
    told = json.dumps(catalog(sample_application.tasks)[name]["schema"])
    for schema in (SAMPLES[name][1], told):
        found = compile_signature(schema)
        assert found is not None
        assert (check(Arguments(args, {}), found) == []) is fits
