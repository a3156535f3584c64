"""Snippets that run as they are: read by a real shell and by Python, they say the same task."""

import ast
import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.tasks import Task
from app.web.pages.snippets import SNIPPET_LIMIT, Snippets, as_python, write_snippets

BASE = "http://umbel.test:8000/"
HOSTILE = 'it\'s "quoted" $(touch /tmp/x) `id` \\ \n ; & | > ~ * {a,b} 東京 \u202e %s'
plain = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4),
)


def ways(**task: Any) -> dict[str, str]:
    found = write_snippets(Task(id="t/1", **task), BASE)
    return {way.key: way.text for way in found.ways}


def words_of(snippet: str) -> list[str]:
    """What `curl` would be called with, as a real shell says."""
    script = "curl() { for word; do printf '%s\\0' \"$word\"; done; }\n" + snippet
    done = subprocess.run(["sh", "-eu"], input=script.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


def given_to(text: str, function: str) -> tuple[list[Any], dict[str, Any]]:
    """What a call of Python code is given."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    [call] = [node for node in calls if ast.unparse(node.func) == function]
    named = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg}
    return [ast.literal_eval(each) for each in call.args], named


def test_a_shell_sends_exactly_the_same_task() -> None:
    args = json.dumps([HOSTILE, 2**200, 1.5, None])
    text = ways(name="shop.mail", args=args, kwargs='{"b": true}', queue="a'b", priority=3)["curl"]
    words = words_of(text)

    assert words[:2] == ["-sS", "http://umbel.test:8000/tasks"]
    assert words[-2] == "--data-raw"
    assert json.loads(words[-1]) == {
        "name": "shop.mail",
        "args": [HOSTILE, 2**200, 1.5, None],
        "kwargs": {"b": True},
        "queue": "a'b",
        "priority": 3,
    }


@settings(max_examples=30)
@given(st.lists(values, max_size=3), plain.filter(bool))
def test_no_argument_breaks_out_of_the_shells_quotes(args: list[Any], name: str) -> None:
    text = ways(name=name, args=json.dumps(args), kwargs="{}")["curl"]
    body = json.loads(words_of(text)[-1])

    assert (body["name"], body["args"]) == (name, args)


@given(st.lists(values), st.dictionaries(plain, values))
def test_python_code_sends_exactly_the_same_task(args: list[Any], kwargs: dict[str, Any]) -> None:
    text = ways(name="shop.mail", args=json.dumps(args), kwargs=json.dumps(kwargs), queue="q")
    placed, named = given_to(text["celery"], "app.send_task")
    _, posted = given_to(text["httpx"], "httpx.post")

    assert placed == ["shop.mail"]
    assert (named.get("args", []), named.get("kwargs", {})) == (args, kwargs)
    assert posted["json"]["args"] == args
    assert posted["json"]["kwargs"] == kwargs


def test_an_integer_of_any_length_stays_one() -> None:
    assert as_python('{"n": 123456789012345678901234567890}') == (
        "{'n': 123456789012345678901234567890}"
    )


def test_a_call_that_is_long_has_a_line_for_each_argument() -> None:
    text = ways(name="shop.mail", args=json.dumps(["x" * 90]), kwargs="{}")["celery"]

    assert text.splitlines()[1:3] == ["app.send_task(", "    'shop.mail',"]


@pytest.mark.parametrize(
    "task",
    [
        {"name": "a", "args_repr": "(1, '…')", "kwargs": "{}"},
        {"name": "a", "args": "[]", "kwargs_repr": "{'a': ...}"},
        {"name": "a"},
        {"args": "[]", "kwargs": "{}"},
    ],
)
def test_nothing_is_offered_that_would_run_something_else(task: dict[str, str]) -> None:
    found = write_snippets(Task(id="t", **task), BASE)  # type: ignore[arg-type]

    assert found == Snippets(why_not=found.why_not)
    assert found.why_not


def test_no_arguments_are_known_by_their_text_too() -> None:
    text = ways(name="a", args_repr="()", kwargs_repr="{}")["celery"]

    assert text.endswith("app.send_task('a')")


def test_of_long_arguments_the_server_is_asked_to_take_its_own() -> None:
    text = ways(name="a", args=json.dumps(["x" * SNIPPET_LIMIT]), kwargs="{}")

    assert words_of(text["curl"])[-1] == "http://umbel.test:8000/tasks/t%2F1/retry"
