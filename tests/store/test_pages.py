"""The task list: every filter, order and page size, checked against the filter's own answer."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.arguments import Argument
from app.domain.errors import BadInput
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task, TaskState
from app.store import pages, runtimes
from app.store.cursors import Place, print_cursor
from app.store.database import Database
from app.store.tasks import count_unseen, page
from app.store.writer import Batch, commit
from tests.store.samples import NOON, sample

STORED = [sample(number) for number in range(600)]
LATER = [sample(number) for number in range(600, 640)]

some = st.lists
filters = st.builds(
    TaskFilter,
    states=some(st.sampled_from(TaskState), max_size=3, unique=True).map(tuple),
    names=some(st.sampled_from(("shop.mail.*", "shop.stock.reserve", "*", "no")), max_size=2).map(
        tuple
    ),
    queues=some(st.sampled_from(("celery", "m*")), max_size=2).map(tuple),
    workers=some(st.sampled_from(("celery@*", "celery@w1", "other@w3")), max_size=2).map(tuple),
    text=st.sampled_from(
        (
            "", "", "alice", "ALICE@EXAMPLE", "東京", "京タワ", "4711 ok", "strasse", "100%", '"',
            '"no such"', "a_b", "7", STORED[7].id[:5], STORED[9].id[9:20], "shop.mail alice",
            "NOT OR (", "send_receipt ValueError",
        )
    ),
    since=st.none() | st.floats(NOON, NOON + 0.6),
    until=st.none() | st.floats(NOON, NOON + 0.6),
    no_names=some(st.sampled_from(("shop.mail.*", "shop.stock.reserve", "no")), max_size=1).map(
        tuple
    ),
    no_queues=some(st.sampled_from(("celery", "m*")), max_size=1).map(tuple),
    no_workers=some(st.sampled_from(("celery@w1", "*")), max_size=1).map(tuple),
    no_text=st.sampled_from(("", "", "", "alice", '"no such" 東京', "7", STORED[7].id[:5])),
    arguments=some(
        st.builds(
            Argument,
            st.sampled_from((("x",), ("0",), ("1",), ("none",))),
            st.sampled_from(
                (("alice@example.com",), ("東京*",), ("4711", "ok"), ("7*",), ("31",), ("*",))
            ),
            st.booleans(),
        ),
        max_size=1,
    ).map(tuple),
    ended_since=st.none() | st.floats(NOON, NOON + 0.6),
    ended_until=st.none() | st.floats(NOON, NOON + 0.6),
    least_runtime=st.none() | st.sampled_from((0.0, 0.5, 0.9)),
    most_runtime=st.none() | st.sampled_from((0.0, 0.5, 0.50001, 0.6)),
)  # fmt: skip


@pytest.fixture(scope="module")
def full(fresh: Callable[[], Database]) -> Database:
    db = fresh()
    for at in range(0, len(STORED), 100):
        commit(db, Batch(tasks=[task.copy() for task in STORED[at : at + 100]]))
    return db


def expected(wanted: TaskFilter, sort: Sort, tasks: list[Task]) -> list[str]:
    found = [task for task in tasks if wanted.matches(task)]
    if sort in (Sort.LONGEST, Sort.SHORTEST):
        found = [task for task in found if task.runtime is not None]
        found.sort(key=lambda task: (task.runtime, task.seq))
    else:
        found.sort(key=lambda task: task.seq)
    if sort in (Sort.LONGEST, Sort.NEWEST):
        found.reverse()
    return [task.id for task in found]


def walk(db: Database, wanted: TaskFilter, sort: Sort, limit: int) -> list[str]:
    cursor, found = None, []
    for _ in range(10_000):
        got = page(db, wanted, sort=sort, limit=limit, cursor=cursor)
        assert len(got.tasks) <= limit
        found += [task.id for task in got.tasks]
        cursor = got.next
        if cursor is None:
            return found
    raise AssertionError("the pages never end")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters, st.sampled_from(Sort), st.integers(30, 500))
def test_pages_show_what_the_filter_matches_each_once_and_in_order(
    full: Database, wanted: TaskFilter, sort: Sort, limit: int
) -> None:
    assert walk(full, wanted, sort, limit) == expected(wanted, sort, STORED)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters, st.sampled_from(Sort), st.integers(20, 60))
def test_pages_are_whole_where_one_call_may_look_at_few_rows_only(
    full: Database, wanted: TaskFilter, sort: Sort, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "EXAMINED", 40)
        patch.setattr(pages, "SEARCHED", 20)
        patch.setattr(pages, "ENTRIES", (10,))
        patch.setattr(pages, "ROWS", (10,))
        patch.setattr(pages, "SORTED", 5)
        patch.setattr(pages, "ROWS_SORTED", 5)
        patch.setattr(runtimes, "SORTED", 20)
        patch.setattr(runtimes, "ROWS_SORTED", 20)
        assert walk(full, wanted, sort, limit) == expected(wanted, sort, STORED)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters, st.integers(0, 599), st.integers(1, 100))
def test_newer_tasks_are_counted_up_to_the_cap(
    full: Database, wanted: TaskFilter, at: int, cap: int
) -> None:
    newer = [task for task in STORED if task.seq > STORED[at].seq and wanted.matches(task)]
    since = STORED[at].seq + 1
    seen = frozenset(task.seq for task in newer[::2])
    unseen = len(newer) - len(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "SECONDS", 60)  # not as far as a busy machine comes in time
        assert count_unseen(full, wanted, since, frozenset(), cap) == min(cap, len(newer))
        assert count_unseen(full, wanted, since, seen, cap) == min(cap, unseen)


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_lose_and_repeat_nothing_while_tasks_arrive(db: Database, sort: Sort) -> None:
    commit(db, Batch(tasks=[task.copy() for task in STORED[:200]]))
    there = set(expected(TaskFilter(), sort, STORED[:200]))
    later = iter(LATER)
    cursor, found = None, []
    while True:
        got = page(db, TaskFilter(), sort=sort, limit=9, cursor=cursor)
        found += [task.id for task in got.tasks]
        cursor = got.next
        if cursor is None:
            break
        if more := next(later, None):
            commit(db, Batch(tasks=[more.copy()]))
    assert len(found) == len(set(found))
    assert there <= set(found)


def test_a_page_has_summaries_and_no_long_values(db: Database) -> None:
    long = sample(1, result="[" + "1," * 5_000 + "1]", result_repr=None, traceback="Traceback")
    commit(db, Batch(tasks=[long]))
    [shown] = page(db, TaskFilter()).tasks
    assert shown.result is None
    assert shown.result_repr == "[" + "1," * 499 + "1…"
    assert shown.traceback is None
    assert shown.transitions == []


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "7", "%00", "é", "=" * 9, "A" * 5_000, print_cursor(Sort.OLDEST, Place(7)),
     print_cursor(Sort.LONGEST, Place(7, 1.0)), print_cursor(Sort.NEWEST, Place(-1)),
     print_cursor(Sort.NEWEST, Place(2**80))],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(db: Database, cursor: str) -> None:
    with pytest.raises(BadInput) as refused:
        page(db, TaskFilter(), cursor=cursor)
    assert refused.value.errors[0].loc == ("query", "cursor")


@pytest.mark.parametrize("limit", [0, -1, pages.MAX_PAGE + 1])
def test_a_page_has_from_1_to_500_tasks(db: Database, limit: int) -> None:
    with pytest.raises(BadInput) as refused:
        page(db, TaskFilter(), limit=limit)
    assert refused.value.errors[0].loc == ("query", "limit")
