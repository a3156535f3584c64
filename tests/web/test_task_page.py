"""The page of a task in every state: what a person reads, and what is never said."""

import json
import re
import time
from typing import Any

import pytest
from markupsafe import Markup

from app.domain.tasks import Task, TaskState, Transition
from app.store.relatives import NONE, Group, Relatives
from app.web.pages.assets import StaticAssets
from app.web.pages.render import Templates
from app.web.pages.story import tell
from app.web.pages.task import SIGNALS, TaskView
from app.web.pages.task_page import TaskPage, allowed
from app.web.pages.values import Shown
from app.web.usual import Usual
from tests.web.test_pages_lost import words
from tests.web.test_traceback import CELERY

USUAL = Usual(count=345, run_p50=1.2, run_p95=2.0, wait_p50=0.1, wait_p95=0.5)


@pytest.fixture(scope="module")
def render() -> Templates:
    return Templates(StaticAssets())


def page_of(task: Task, **parts: Any) -> TaskPage:
    shown = Shown()
    given = {
        "story": tell(task),
        "values": shown.values(task),
        "failure": shown.failure(task),
        "allowed": allowed(task),
        "relatives": NONE,
        **parts,
    }
    return TaskPage(task=task, **given)


def parts_of(render: Templates, page: TaskPage) -> dict[str, Markup]:
    return {
        part: render(f"task/_{part}.html", page=page, signals=SIGNALS) for part in TaskView.parts
    }


def running(seconds: float, **changes: object) -> Task:
    began = time.time() - seconds
    steps = [Transition(TaskState.PENDING, began - 1), Transition(TaskState.STARTED, began, "w1")]
    task = Task(id="a", name="shop.mail", state=TaskState.STARTED, transitions=steps)
    task.sent_at, task.started_at = began - 1, began
    for name, value in changes.items():
        setattr(task, name, value)
    return task


@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize("known", [False, True])
def test_a_task_in_any_state_has_all_its_parts(
    render: Templates, state: TaskState, known: bool
) -> None:
    step = [Transition(state, 5.0)] if known else []
    task = Task(id="<b>", name="shop.mail" if known else None, state=state, transitions=step)
    parts = parts_of(render, page_of(task))

    for name, markup in parts.items():
        assert re.search(rf'id="{name}"', markup), name
        assert "<b>" not in markup
        assert "None" not in words(markup)
        assert "style=" not in markup


def test_a_running_task_is_held_against_what_is_usual(render: Templates) -> None:
    soon, late = (
        parts_of(render, page_of(running(seconds), usual=USUAL))["progress"]
        for seconds in (0.5, 60.0)
    )

    assert "usually 1.20 s, 95 % within 2.00 s" in words(soon)
    assert "345 runs on the last day" in words(soon)
    assert re.search(r"data-slow hidden", soon)
    assert not re.search(r"data-slow hidden", late)
    assert "longer than p95 (usually 1.20 s)" in words(late)


def test_nothing_is_said_to_be_usual_of_few_runs(render: Templates) -> None:
    page = page_of(running(60), usual=Usual(count=3))
    said = words(parts_of(render, page)["progress"])

    assert not page.is_slow
    assert "what is usual is not known yet" in said


def test_a_page_looks_the_same_until_something_happens(render: Templates) -> None:
    task = running(60, progress_current=3.0, progress_total=10.0)
    first, second = (parts_of(render, page_of(task, usual=USUAL)) for _ in range(2))

    assert first == second


def test_an_error_shows_the_applications_place_first_and_folds_libraries(
    render: Templates,
) -> None:
    task = Task(id="a", state=TaskState.FAILURE, exception="X()", traceback=CELERY)
    error = parts_of(render, page_of(task))["error"]
    said = words(error)

    assert said.index("/srv/shop/mail/smtp.py:17 in deliver") < said.index("1 library frame")
    assert "[Errno 111] Connection refused" in said
    assert error.count("<details") == 4, "all calls, two runs of libraries, the raw text"


def test_an_error_without_a_traceback_is_shown_as_it_is(render: Templates) -> None:
    task = Task(id="a", state=TaskState.FAILURE, exception="WorkerLostError('signal 9')")

    assert "WorkerLostError(&#39;signal 9&#39;)" in parts_of(render, page_of(task))["error"]


def test_values_are_trees_or_say_that_celery_shortened_them(render: Templates) -> None:
    task = Task(id="a", args=json.dumps([10**40, "x" * 80]), kwargs_repr="{'a': ...}")
    values = parts_of(render, page_of(task))["values"]

    assert str(10**40) in values
    assert 'data-tree="args"' in values
    assert "Celery shortens what is long" in words(values)
    assert "Result" not in words(values)


def test_a_value_that_stays_is_drawn_once() -> None:
    shown, task = Shown(), Task(id="a", args="[1]", kwargs="{}")
    first = shown.values(task)
    task.result = "5"
    second = shown.values(task)

    assert first[1] is second[1]
    assert first[0] is not second[0]


def test_relatives_are_lists_with_states_and_the_task_itself_is_marked(render: Templates) -> None:
    task = Task(id="b", name="shop.mail", parent_id="p", group_id="g", root_id="p")
    mother = Task(id="p", name="shop.order", state=TaskState.SUCCESS)
    before = Task(id="a", name="shop.mail", state=TaskState.FAILURE)
    group = Group("g", {TaskState.SUCCESS: 3, TaskState.FAILURE: 1}, (before, task), False)
    page = page_of(task, relatives=Relatives({"p": mother}, before=(before,), group=group))
    related = parts_of(render, page)["related"]

    assert "Sent by Success order p " in words(related)
    assert "4 tasks" in words(related)
    assert related.count('aria-current="true"') == 2


def test_links_are_in_the_head_and_leave_no_trace(render: Templates) -> None:
    page = page_of(Task(id="a"), links=(("Logs", 'https://logs.example/?q="'),))
    head = parts_of(render, page)["head"]

    assert 'href="https://logs.example/?q=&#34;" rel="noreferrer noopener"' in head


def test_what_may_not_be_done_says_why(render: Templates) -> None:
    ended = Task(id="a", name="n", state=TaskState.SUCCESS, args="[]", kwargs="{}")
    said = words(parts_of(render, page_of(ended))["head"])

    assert "Revoke: It has ended: Success." in said
    assert "Run again: It has not ended yet." in words(
        parts_of(render, page_of(running(1)))["head"]
    )


def test_a_task_in_a_queue_that_nobody_reads_says_so(render: Templates) -> None:
    step = [Transition(TaskState.PENDING, 5.0)]
    task = Task(id="a", queue="emails", sent_at=5.0, transitions=step)
    said = words(parts_of(render, page_of(task, unread=True))["progress"])

    assert "No worker reads emails: it waits until one does." in said
    assert "Waiting: since 00:00:05" in said
