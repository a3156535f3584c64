"""What pages say of tasks whose worker is gone: why, and when Redis hands them out again."""

import re
import time

import pytest
from markupsafe import Markup

from app.domain.columns import USUAL
from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState, Transition
from app.feed.fleet import decode_queue, encode_queue
from app.store.relatives import NONE
from app.web.pages.assets import StaticAssets
from app.web.pages.queues import QueuesPage, measured
from app.web.pages.render import Templates
from app.web.pages.story import tell
from app.web.pages.task_page import TaskPage, allowed

WHY = "Its worker w1@host fell silent."


@pytest.fixture(scope="module")
def render() -> Templates:
    return Templates(StaticAssets())


def words(markup: Markup) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", str(markup)))


def lost_task(redelivery_at: float | None = None) -> Task:
    steps = [Transition(TaskState.STARTED, 1.0), Transition(TaskState.LOST, 2.0, None, 0, WHY)]
    return Task(
        id="a",
        name="shop.pay",
        state=TaskState.LOST,
        redelivery_at=redelivery_at,
        started_at=1.0,
        finished_at=2.0,
        chord_id="the-end",
        transitions=steps,
    )


def page_of(task: Task, because: str | None = None) -> TaskPage:
    return TaskPage(
        task=task,
        story=tell(task),
        values=(),
        allowed=allowed(task),
        relatives=NONE,
        lost_because=because,
    )


def test_a_lost_task_says_why_and_that_nothing_brings_it_back(render: Templates) -> None:
    page = page_of(lost_task(), WHY)

    said = words(render("task/_progress.html", page=page))
    assert f"Lost. {WHY}" in said
    assert "Run again sends it anew" in said
    assert "ran —" in words(render("task/_story.html", page=page)), "nobody knows how long"
    assert 'href="/ui/tasks/the-end"' in render("task/_related.html", page=page)


def test_a_lost_task_says_when_it_is_handed_out_again(render: Templates) -> None:
    soon = render("task/_progress.html", page=page_of(lost_task(time.time() + 600), WHY))
    due = render("task/_progress.html", page=page_of(lost_task(time.time() - 60), WHY))

    assert "Its message is handed out again" in words(soon)
    assert "data-ago" in soon
    assert "due to be handed out again since" in words(due)
    assert "by the next worker that looks" in words(due)


def test_a_task_that_waits_for_its_redelivery_says_so(render: Templates) -> None:
    task = Task(id="a", state=TaskState.RECEIVED, redelivery_at=time.time() + 600)

    assert "Its worker is gone" in words(render("task/_progress.html", page=page_of(task)))
    assert "handed out again" in words(
        render("tasks/_row.html", task=task, reason=None, columns=USUAL.shown)
    )


def test_a_row_says_why_its_task_was_lost(render: Templates) -> None:
    row = render("tasks/_row.html", task=lost_task(), reason='<b>"x"</b>', columns=USUAL.shown)

    assert "&lt;b&gt;" in row
    assert "<b>" not in row


def test_a_queue_tells_what_dead_workers_hold(render: Templates) -> None:
    at = float(int(time.time()) + 600)
    queue = Queue(name="q", measured_at=time.time(), unacked=5, orphans=3, redelivery_at=at)
    table = render("queues/_queues.html", page=QueuesPage((measured(queue),), more=0))

    assert "3 with dead workers, the first handed out again" in words(table)
    there = decode_queue(encode_queue(queue))
    assert (there.orphans, there.redelivery_at) == (3, at)
