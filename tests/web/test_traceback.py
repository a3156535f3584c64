"""Tracebacks taken apart: the application's frames first, and any text without harm."""

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.pages.traceback import ERRORS_LIMIT, PARSED_LIMIT, Link, parse_traceback

CELERY = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.12/site-packages/celery/app/trace.py", line 585, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/mail/tasks.py", line 41, in send
    deliver(render(order), to=address)
  File "/srv/shop/mail/smtp.py", line 17, in deliver
    with smtplib.SMTP(
        settings.HOST) as server:
  File "/usr/lib/python3.12/smtplib.py", line 255, in __init__
    (code, msg) = self.connect(host, port)
ConnectionRefusedError: [Errno 111] Connection refused
"""


def text_of(raising: Callable[[], object]) -> str:
    try:
        raising()
    except Exception:
        return traceback.format_exc()
    raise AssertionError("nothing was raised")


def cause() -> None:
    try:
        raise KeyError("a")
    except KeyError as error:
        raise RuntimeError("two\nlines") from error


def during() -> None:
    try:
        cause()
    except RuntimeError:
        _ = 1 / 0


def group() -> None:
    found: list[Exception] = [TypeError("never raised")]
    for raising in (cause, during):
        try:
            raising()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("all of them", [*found, ExceptionGroup("within", [OSError("new")])])


def recursion(depth: int = 0) -> None:
    recursion(depth + 1)


def test_the_applications_last_frame_is_the_place_to_look() -> None:
    [error] = parse_traceback(CELERY)

    assert (error.kind, error.message) == (
        "ConnectionRefusedError",
        "[Errno 111] Connection refused",
    )
    assert error.place is not None
    assert (error.place.file, error.place.line) == ("/srv/shop/mail/smtp.py", 17)
    assert error.place.source == "with smtplib.SMTP(\n    settings.HOST) as server:"
    assert [(run.library, run.count) for run in error.runs] == [(True, 1), (False, 2), (True, 1)]


@pytest.mark.parametrize(
    ("file", "library"),
    [
        ("/srv/app/tasks.py", False),
        ("/home/lib/python/tasks.py", False),
        ("/srv/library/celery_tasks.py", False),
        ("C:\\shop\\tasks.py", False),
        ("/usr/lib/python3/dist-packages/kombu/x.py", True),
        ("/usr/local/lib/python3.13/json/__init__.py", True),
        ("/opt/lib64/python3.11/site-packages/x.py", True),
        ("C:\\Python312\\Lib\\json\\decoder.py", True),
        ("<frozen importlib._bootstrap>", True),
        ("<string>", False),
    ],
)
def test_libraries_are_known_by_where_they_are(file: str, library: bool) -> None:
    [error] = parse_traceback(
        f'Traceback (most recent call last):\n  File "{file}", line 1, in f\nValueError'
    )

    assert error.frames[0].is_library is library
    assert error.kind == "ValueError"


def test_a_chain_is_told_from_its_end() -> None:
    found = parse_traceback(text_of(during))

    assert [(error.kind, error.link) for error in found] == [
        ("ZeroDivisionError", Link.DURING),
        ("RuntimeError", Link.CAUSED),
        ("KeyError", None),
    ]
    assert found[1].message == "two\nlines"


def test_a_group_has_its_members_and_their_chains_and_groups() -> None:
    [error] = parse_traceback(text_of(group))

    assert error.message == "all of them (4 sub-exceptions)"
    assert [(member.kind, member.link) for member in error.members] == [
        ("TypeError", None),
        ("RuntimeError", Link.CAUSED),
        ("KeyError", None),
        ("ZeroDivisionError", Link.DURING),
        ("RuntimeError", Link.CAUSED),
        ("KeyError", None),
        ("ExceptionGroup", None),
    ]
    assert [len(chain) for chain in error.chains] == [1, 2, 3, 1]
    assert [member.kind for member in error.members[-1].members] == ["OSError"]
    assert error.members[0].frames == ()


def test_a_recursion_counts_what_python_left_out() -> None:
    [error] = parse_traceback(text_of(recursion))

    assert error.frames[-1].function == "recursion"
    assert sum(run.count for run in error.runs) > 900
    assert len(error.frames) < 20


def test_a_syntax_error_shows_its_line() -> None:
    [error] = parse_traceback(text_of(lambda: compile("a b", "shop.py", "exec")))

    assert error.kind == "SyntaxError"
    assert error.frames[-1].file == "shop.py"
    assert error.frames[-1].source == "a b"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "out of paper",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\nValueError: no frames",
        '  File "x", line 1, in f',
        "x" * (PARSED_LIMIT + 1),
    ],
)
def test_what_is_no_traceback_has_no_errors(text: str | None) -> None:
    assert parse_traceback(text) == ()


def test_a_chain_without_end_is_cut() -> None:
    link = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert len(parse_traceback(link.join([CELERY] * 100))) == ERRORS_LIMIT


lines = st.sampled_from(
    [
        *CELERY.splitlines(),
        *text_of(group).splitlines(),
        "  +-+---------------- 1 ----------------",
        "    +------------------------------------",
        "  [Previous line repeated 99999999999999999999999 more times]",
        '  File "x", line 99999999999999999999999999, in f',
        "The above exception was the direct cause of the following exception:",
    ]
) | st.text(max_size=30)


@given(st.lists(lines, max_size=60))
def test_no_text_makes_it_fail(found: list[str]) -> None:
    for error in parse_traceback("\n".join(found)):
        assert isinstance(error.runs, tuple)
        assert error.place is None or error.place in error.frames
