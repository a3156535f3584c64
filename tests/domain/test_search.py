"""The search grammar: what a text means, how it is printed back, and where it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import BadSearch
from app.domain.filters import TaskFilter, filter_of, parse_filter, with_places
from app.domain.search import MAX_SEARCH, MAX_TERMS, Search, Term, parse_search, words_of
from app.domain.search_keys import KEYS, TEXT
from app.domain.tasks import Task, TaskState, seq_of
from app.domain.times import duration, print_duration

NOW = 1_795_365_736.0


def mistakes(text: str) -> list[tuple[str, str, str | None]]:
    """Of each mistake what it points at, what is said, and what would be right."""
    with pytest.raises(BadSearch) as refused:
        parse_search(text)
    found = refused.value.mistakes
    return [(text[one.at : one.at + one.length], one.message, one.instead) for one in found]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("  two   words ", "two words"),
        ('"free text" state:failure', 'state:failure "free text"'),
        ("state:LOST,failure state:lost", "state:lost,failure"),
        ("NAME:mail* -name:mail.noise", "name:mail* -name:mail.noise"),
        ('name:"a,b",c', 'name:"a,b",c'),
        ('queue:"with space"', 'queue:"with space"'),
        ("worker:celery@w2:9", "worker:celery@w2:9"),
        ("args.user.id:12 args.0:x", "args.0:x args.user.id:12"),
        ("runtime:>5000ms runtime:<120", "runtime:>5s,<2m"),
        ("runtime:5s..90s", "runtime:>=5s runtime:<=90s"),
        ("until:15m since:2h", "since:2h until:15m"),
        ('since:"2026-11-22 18:00"', 'since:"2026-11-22 18:00"'),
        ("-alice", "-alice"),
        ('-"no route"', '-"no route"'),
        ("-5 -1.5 --flag - -", "-5 -1.5 --flag -"),
        ("https://a.example:80/x", "https://a.example:80/x"),
        ("ValueError: at 10:30 celery@w1:80", "ValueError: at 10:30 celery@w1:80"),
        ('a"b c"', 'a"b c"'),
        (r'"say \"hi\" c:\x"', r'"say \"hi\" c:\\x"'),
        ('"state:failure"', '"state:failure"'),
        ('""', ""),
    ],
)
def test_a_search_is_printed_back_in_one_form(text: str, canonical: str) -> None:
    canonical = canonical.replace("runtime:>5s,<2m", "runtime:>5s runtime:<2m")

    assert str(parse_search(text)) == canonical
    assert str(parse_search(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "place", "said", "instead"),
    [
        ("a state:failed", "failed", "'failed' is not one of PENDING, ", "failure"),
        ("stat:failure", "stat", "did you mean 'state'?", "state"),
        ("x -status:failure", "status", "did you mean 'state'?", "state"),
        ("kwargs.user:1", "kwargs.user", "did you mean 'args.user'?", "args.user"),
        ("exception:Timeout", "exception", "put it in quotes", None),
        ("name:", "name:", "Say what name should be, such as mail*.", None),
        ('x name:""', "name:", "Say what name should be", None),
        ('two "words', '"', "quotes that begin here do not end", None),
        ('name:"a"b', "b", "After the quotes", None),
        ("runtime:5", "5", "'5' is not a bound such as >5s", ">5s"),
        ("runtime:>soon", ">soon", "is not a bound", None),
        ("since:yesterday", "yesterday", "is not a time such as", None),
        ("-since:2h", "since", "say until:2h instead", None),
        ("-runtime:>5s", "runtime", "say runtime:<=5s instead", None),
        ("args:5", "args", "args.user_id:123 by its name", None),
        ("args.a..b:5", "args.a..b", "args.user_id:123 by its name", None),
        ("name.first:5", "name.first", "write name:mail*", "name"),
        ("state:lost -state:lost", "-state:lost", "leaves out every state", None),
        ("name:" + "x" * 501, "x" * 501, "at most 500 characters", None),
        (" ".join(f"w{n}" for n in range(MAX_TERMS + 1)), None, "at most 50", None),
        ("x " * MAX_SEARCH, None, "at most 2000", None),
    ],
)
def test_a_mistake_is_pointed_at_with_a_way_out(
    text: str, place: str | None, said: str, instead: str | None
) -> None:
    [(found, message, right)] = mistakes(text)

    assert place is None or found == place
    assert said in message
    assert right == instead


def test_all_mistakes_are_said_in_order_and_name_their_place_in_the_parameter() -> None:
    with pytest.raises(BadSearch) as refused:
        parse_search("state:no since:never ok")

    assert [error.loc for error in refused.value.errors] == [
        ("query", "q", 6, 8),
        ("query", "q", 15, 20),
    ]


@given(st.text(st.sampled_from(' "\\-:,*.aé\n') | st.characters(codec="utf-8"), max_size=30))
def test_every_text_is_understood_or_pointed_at(text: str) -> None:
    try:
        search = parse_search(text)
    except BadSearch as wrong:
        for one in wrong.mistakes:
            assert 0 <= one.at < one.at + one.length <= len(text)
            assert one.message
    else:
        assert parse_search(str(search)) == search


any_text = st.text(st.sampled_from(' "\\-:,*.s/5') | st.characters(codec="utf-8"), min_size=1)
filled = any_text.map(lambda text: " ".join(text.split())).filter(bool)
seconds = st.floats(0, 1e6) | st.integers(0, 1_000_000).map(float)
bounds = st.builds(
    lambda sign, length: sign + print_duration(length),
    st.sampled_from((">", ">=", "<", "<=")),
    seconds,
)
paths = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


def some(key: str, values: st.SearchStrategy[str], signs: tuple[bool, ...] = (False, True)):
    return st.builds(
        Term, st.just(key), st.lists(values, min_size=1, max_size=3).map(tuple),
        st.sampled_from(signs),
    )  # fmt: skip


searches = st.lists(
    st.one_of(
        some("state", st.sampled_from(KEYS["state"].choices[:5])),
        some("name", any_text),
        some("queue", any_text),
        some("worker", any_text),
        paths.flatmap(lambda path: some(f"args.{path}", any_text)),
        some("runtime", bounds, (False,)),
        some("since", st.sampled_from(("2h", "2026-11-22T18:00:00Z", "1795365736.5")), (False,)),
        some(TEXT, filled),
    ),
    max_size=6,
).map(Search.of)


@given(searches)
def test_what_is_printed_reads_as_the_same_search(search: Search) -> None:
    asked = set(search.values("state")) or set(KEYS["state"].choices)
    if asked <= set(search.values("state", negated=True)):
        assert mistakes(str(search))
    else:
        assert parse_search(str(search)) == search


@given(searches)
def test_a_filter_prints_what_parses_to_the_same_filter(search: Search) -> None:
    wanted = filter_of(search, NOW)

    assert parse_filter(wanted.pairs(), NOW + 1) == wanted


@given(st.lists(filled, max_size=4))
def test_words_of_a_free_text_are_those_that_were_printed(words: list[str]) -> None:
    search = Search.of([Term(TEXT, tuple(words))])

    assert words_of(filter_of(search, NOW).text) == search.values(TEXT)


@given(seconds)
def test_a_duration_is_printed_exactly(length: float) -> None:
    assert duration(print_duration(length)) == length


def test_a_part_can_be_taken_away_or_replaced() -> None:
    search = parse_search('state:failure name:a,b "x y" z')

    assert str(search.without(Term("name", ("a",)))) == 'state:failure name:b "x y" z'
    assert str(search.without(Term(TEXT, ("x y",)))) == "state:failure name:a,b z"
    assert str(search.with_only("state", "lost")) == 'state:lost name:a,b "x y" z'
    assert str(search.with_only("state")) == 'name:a,b "x y" z'


def test_a_search_becomes_a_filter_of_that_moment() -> None:
    text = "-state:success name:mail* -queue:bulk runtime:>=5s runtime:<1m since:2h since:1h x -y"
    wanted = filter_of(parse_search(text), NOW)

    assert TaskState.SUCCESS not in wanted.states
    assert len(wanted.states) == len(TaskState) - 1
    assert (wanted.names, wanted.no_queues) == (("mail*",), ("bulk",))
    assert (wanted.least_runtime, wanted.most_runtime) == (5.0, 60.0)
    assert wanted.since == NOW - 3600
    assert (wanted.words, wanted.no_words) == (("x",), ("y",))


def test_parameters_and_a_search_are_one_filter() -> None:
    pairs = [("state", "FAILURE"), ("q", "state:lost name:a"), ("name", "b")]

    assert parse_filter(pairs, NOW) == TaskFilter(
        states=(TaskState.FAILURE, TaskState.LOST), names=("b", "a")
    )


SENT = Task(
    id="8f14e45f-ceea",
    seq=seq_of(NOW),
    name="mail.send",
    state=TaskState.FAILURE,
    queue="emails",
    args='["Ana", {"plan": {"tier": "Pro"}}]',
    kwargs='{"user_id": 12345678901234567890, "ok": true, "none": null, "tags": ["new", "vip"]}',
    runtime=5.0,
)
SHOWN = Task(
    id="b",
    seq=seq_of(NOW),
    args_repr="('Ana', 3)",
    kwargs_repr="{'user_id': 123, 'ok': True, 'none': None, 'note': 'a b', 'data': 'xxxx...",
)


@pytest.mark.parametrize(
    ("search", "taken"),
    [
        ("args.user_id:12345678901234567890", True),
        ("args.user_id:123", False),
        ("args.user_id:123*", True),
        ("args.user_id:7,12345678901234567890", True),
        ("args.USER_ID:123*", True),
        ("args.0:ana", True),
        ("args.1:ana", False),
        ("args.1.plan.tier:pro", True),
        ("args.7:ana", False),
        ("args.ok:true", True),
        ("args.none:null", True),
        ("args.none:nu*", True),
        ("args.tags:vip", True),
        ("args.tags.0:vip", False),
        ("args.tags:*", True),
        ("-args.tags:vip", False),
        ("-args.tags:old", True),
        ("-name:mail*", False),
        ("-name:other -queue:other -worker:w1", True),
        ("-queue:emails", False),
        ("runtime:>=5s", True),
        ("runtime:>5s", False),
        ("runtime:<=5s", True),
        ("runtime:<5s", False),
        ("runtime:1s..5s", True),
        ("-ana", False),
        ("-nobody ana", True),
    ],
)
def test_a_search_takes_a_task_or_not(search: str, taken: bool) -> None:
    assert filter_of(parse_search(search), NOW).matches(SENT) is taken


@pytest.mark.parametrize(
    ("search", "taken"),
    [
        ("args.user_id:123", True),
        ("args.user_id:12", False),
        ("args.user_id:12*", True),
        ("args.ok:true", True),
        ("args.note:'a'", False),
        ('args.note:"a b"', True),
        ("args.data:xxx", False),
        ("args.0:ana", True),
        ("args.1:3", True),
        ("args.1:4", False),
        ("runtime:<5s", False),
        ("-name:mail*", True),
    ],
)
def test_arguments_are_found_in_what_python_showed_of_them(search: str, taken: bool) -> None:
    assert filter_of(parse_search(search), NOW).matches(SHOWN) is taken


@pytest.mark.parametrize(
    ("search", "taken"),
    [
        ("args.who:ana", True),
        ("args.which.plan.tier:pro", True),
        ("args.plan:ana", False),
        ("args.user_id:123*", True),
        ("-args.who:ana", False),
    ],
)
def test_arguments_given_by_place_are_found_by_the_name_that_workers_tell(
    search: str, taken: bool
) -> None:
    signatures = {"mail.send": [("to",), ("who", "which")], "mail.other": [("plan",)]}
    wanted = filter_of(parse_search(search), NOW)

    assert with_places(wanted, signatures).matches(SENT) is taken


@pytest.mark.parametrize("text", ["(" * 5_000, "[" * 90_000, "{'a': " * 300, "9" * 5_000, "\0"])
def test_hostile_arguments_match_nothing(text: str) -> None:
    wanted = filter_of(parse_search("args.a:1"), NOW)

    assert not wanted.matches(Task(id="c", kwargs=text))
    assert not wanted.matches(Task(id="c", kwargs_repr=text))
