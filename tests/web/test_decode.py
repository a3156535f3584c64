"""Refusals in words: where, what was given, what is allowed."""

import pytest
from msgspec import Raw

from app.domain.errors import BadInput
from app.web.api.bodies import Add, Batch, Long, Submit
from app.web.api.decode import decode, json_text


@pytest.mark.parametrize(
    ("kind", "body", "loc", "msg"),
    [
        (Add, b'{"x": true, "y": 1}', ("body", "x"), "must be a number; given was true"),
        (Add, b'{"x": NaN, "y": 1}', ("body", "x"), "must be a finite number"),
        (Add, b'{"x": 1e999, "y": 1}', ("body", "x"), "must be a finite number; given was 1e999"),
        (Add, b'{"y": 1}', ("body", "x"), "is required"),
        (Add, b'{"x": 1, "y": 1, "z": 1}', ("body", "z"), "is not a known field; allowed: x, y"),
        (Add, b"[]", ("body",), "must be an object; given was []"),
        (Long, b'{"seconds": -1}', ("body", "seconds"), "a number of at least 0; given was -1"),
        (Batch, b'{"tasks": []}', ("body", "tasks"), "must be a list of 1 or more"),
        (Batch, b'{"tasks": [{"name": 4}]}', ("body", "tasks", 0, "name"), "must be a text"),
        (Submit, b'{"name": "a", "queue": 4}', ("body", "queue"), "must be a text or null"),
    ],
)
def test_a_refusal_says_where_and_what(
    kind: type, body: bytes, loc: tuple[str | int, ...], msg: str
) -> None:
    with pytest.raises(BadInput) as refused:
        decode(body, kind)

    (error,) = refused.value.errors
    assert error.loc == loc
    assert msg in error.msg


def test_numbers_in_arguments_stay_as_they_were_written() -> None:
    text = "[1180591620717411303424,\n 2.50, 1e5]"

    assert json_text(Raw(text.encode()), list, ("body", "args")) == (
        "[1180591620717411303424,2.50,1e5]"
    )


@pytest.mark.parametrize("text", ["{}", "[1e999]", "[" * 5_000 + "]" * 5_000, "4"])
def test_arguments_that_are_no_list_of_finite_values_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        json_text(Raw(text.encode()), list, ("body", "args"))


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(BadInput) as refused:
        decode(b'{"x": "' + b"a" * 1_000 + b'", "y": 1}', Add)

    assert len(refused.value.errors[0].msg) < 120


def test_arguments_that_are_no_text_are_refused() -> None:
    body = decode(b'{"name": "a", "args": ["\xff"]}', Submit)
    assert isinstance(body.args, Raw)
    with pytest.raises(BadInput) as refused:
        json_text(body.args, list, ("body", "args"))
    assert refused.value.errors[0].msg == "is not valid UTF-8"
