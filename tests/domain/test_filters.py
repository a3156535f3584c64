"""One filter: what a query string means, how it is printed, which tasks it takes."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import BadInput
from app.domain.filters import (
    MAX_TEXT,
    MAX_VALUES,
    Sort,
    TaskFilter,
    parse_filter,
    parse_sort,
    parse_time,
    print_time,
)
from app.domain.search import print_words, words_of
from app.domain.tasks import Task, TaskState, seq_of

NOW = 1_795_365_736.0


def asked(query: str) -> TaskFilter:
    return parse_filter(parse_qsl(query), NOW)


def test_an_empty_query_is_no_filter() -> None:
    assert not asked("")
    assert not asked("state=&q=")
    assert asked("").query_string() == ""


def test_states_may_be_repeated_or_listed_in_any_case() -> None:
    expected = (TaskState.FAILURE, TaskState.LOST)

    assert asked("state=failure&state=LOST").states == expected
    assert asked("state=Failure,lost").states == expected


def test_parameters_of_other_names_are_left_alone() -> None:
    assert asked("limit=5&cursor=x&name=app.add") == TaskFilter(names=("app.add",))


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("state=BROKEN", "state", "'BROKEN' is not one of PENDING, "),
        ("since=yesterday", "since", "'yesterday' is not a time such as"),
        ("until=1e400", "until", "'1e400' is not a time"),
        ("until=nan", "until", "'nan' is not a time"),
        ("since=-5", "since", "'-5' is not a time"),
        ("q=" + "x" * (MAX_TEXT + 1), "q", f"at most {MAX_TEXT} characters"),
        ("name=" + "x" * (MAX_TEXT + 1), "name", f"at most {MAX_TEXT} characters"),
        ("&".join(f"queue=q{n}" for n in range(MAX_VALUES + 1)), "queue", "at most 50"),
    ],
)
def test_what_is_not_understood_is_named(query: str, field: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        asked(query)

    assert refused.value.errors[0].loc[:2] == ("query", field)
    assert said in refused.value.errors[0].msg


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        asked("state=X&since=Y")

    assert [error.loc[-1] for error in refused.value.errors] == ["state", "since"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", NOW - 7200),
        ("15m", NOW - 900),
        ("7d", NOW - 7 * 86_400),
        ("1795365736.5", NOW + 0.5),
        ("2026-11-22T16:42:16Z", NOW),
        ("2026-11-22T16:42:16", NOW),
        ("2026-11-22T17:42:16+01:00", NOW),
        ("2026-11-22T17:42:16 01:00", NOW),
    ],
)
def test_a_time_can_be_said_in_several_ways(text: str, seconds: float) -> None:
    assert parse_time(text, NOW) == seconds


def test_times_are_printed_in_utc_to_the_microsecond() -> None:
    assert print_time(NOW + 0.25) == "2026-11-22T16:42:16.250000Z"


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
).filter(lambda text: text.strip() == text)


def _each_word_once(text: str) -> str:
    return print_words(dict.fromkeys(words_of(text)))


@given(
    st.builds(
        TaskFilter,
        states=st.lists(st.sampled_from(TaskState), unique=True, max_size=4).map(tuple),
        names=st.lists(texts, unique=True, max_size=3).map(tuple),
        queues=st.lists(texts, unique=True, max_size=3).map(tuple),
        workers=st.lists(texts, unique=True, max_size=3).map(tuple),
        text=st.one_of(st.just(""), texts.map(_each_word_once)),
        since=st.none() | st.integers(0, 2_000_000_000).map(float),
        until=st.none() | st.integers(0, 2_000_000_000).map(float),
    )
)
def test_what_is_printed_parses_to_the_same(wanted: TaskFilter) -> None:
    assert asked(wanted.query_string()) == wanted


def test_orders_are_named_by_their_field() -> None:
    assert parse_sort(None) is Sort.NEWEST
    assert parse_sort("-runtime") is Sort.LONGEST
    with pytest.raises(BadInput):
        parse_sort("name")


TASK = Task(
    id="8f14e45f-ceea",
    seq=seq_of(NOW),
    name="mail.send",
    state=TaskState.FAILURE,
    queue="emails",
    worker="celery@w1",
    kwargs='{"to": "Ana@example.org"}',
    exception="SMTPError('no route')",
)


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ("", True),
        ("state=FAILURE", True),
        ("state=SUCCESS", False),
        ("state=SUCCESS&state=FAILURE&queue=emails", True),
        ("name=mail.send", True),
        ("name=mail", False),
        ("name=mail*", True),
        ("name=web*&name=mail*", True),
        ("worker=celery%40w2", False),
        ("q=ana%40example", True),
        ("q=8f14e45f", True),
        ("q=smtp+nobody", False),
        ('q="no+route"', True),
        ('q="route+no"', False),
        ("since=2026-11-22T16:42:16Z", True),
        ("until=2026-11-22T16:42:16Z", False),
    ],
)
def test_a_filter_takes_a_task_or_not(query: str, taken: bool) -> None:
    assert asked(query).matches(TASK) is taken


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("2h", True),
        ("59m", False),
        ("2h..59m", True),
        ("2h..1h", False),
        ("..59m", True),
        ("2026-11-22T15:00:00Z..2026-11-22T16:00:00Z", True),
        ("1795361400..", True),
    ],
)
def test_when_a_task_ended_is_asked_from_a_moment_on_and_before_another(
    value: str, taken: bool
) -> None:
    an_hour_ago = Task(id="x", state=TaskState.SUCCESS, finished_at=NOW - 3_600)
    wanted = asked(f"ended={value}")

    assert wanted == asked(f"q=ended:{value}")
    assert wanted.matches(an_hour_ago) is taken
    assert not wanted.matches(Task(id="x", state=TaskState.RETRY, finished_at=NOW - 3_600))
    assert not wanted.matches(Task(id="x", state=TaskState.SUCCESS))
    assert asked(wanted.query_string()) == wanted


@pytest.mark.parametrize("value", ["yesterday", "..", "2h..never"])
def test_when_a_task_ended_is_two_times_at_most(value: str) -> None:
    with pytest.raises(BadInput, match="not understood") as refused:
        asked(f"ended={value}")
    assert "from which on it ended" in refused.value.errors[0].msg
