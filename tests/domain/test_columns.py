"""Columns of the list of tasks: what an address asks for, in one order."""

import pytest

from app.domain.columns import USUAL, parse_columns
from app.domain.errors import BadInput


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["ran,state"], "state,task,ran"),
        (["ran", "state", "task", "ran"], "state,task,ran"),
        (["task"], "task"),
        ([" Result , id"], "task,result,id"),
    ],
)
def test_columns_stand_in_one_order_and_the_task_is_among_them(asked: list[str], text: str) -> None:
    assert str(parse_columns(asked)) == text
    assert parse_columns([text]) == parse_columns(asked)


@pytest.mark.parametrize("asked", [[], [""], [" , "]])
def test_without_a_choice_there_are_the_usual_ones(asked: list[str]) -> None:
    assert parse_columns(asked) is USUAL


def test_a_column_that_is_none_is_named_with_those_that_are() -> None:
    with pytest.raises(BadInput) as refused:
        parse_columns(["state,colour"])

    (error,) = refused.value.errors
    assert error.loc == ("query", "columns")
    assert "'colour' is not one of state, task, details" in error.msg
