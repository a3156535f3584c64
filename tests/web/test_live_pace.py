"""How often a live page is made and sent: at once where little changes, seldom where much does."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from markupsafe import Markup

from app.domain.tasks import Task
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.tailed import Tailed
from app.web.pages import live
from app.web.pages.digest import Digest
from app.web.pages.query import read_query
from app.web.pages.tasklist import Reach, TaskList
from app.web.streams import Stream
from tests.support import eventually_async

LOOKS = 5


class Busy:
    """A view that looks different whenever it is asked, and the feed and parts around it."""

    key = "busy"
    every = 0.0

    def __init__(self, size: int) -> None:
        self.size = size
        self.looks = self.rendered = 0

    def take(self, news: Digest | None) -> bool:
        self.looks += 1
        return True

    async def fragments(self) -> dict[str, Markup]:
        self.rendered += 1
        return {"a": Markup(str(self.rendered) * self.size)}

    async def has_looked(self) -> bool:
        return self.looks >= LOOKS

    async def has_rendered(self) -> bool:
        return self.rendered >= LOOKS


class Around:
    """A feed that has news with every look, and a shell without parts."""

    position = 0
    latest = None
    fragments: dict[str, Markup] = {}  # noqa: RUF012

    async def wait(self, position: int, patience: float) -> bool:
        await asyncio.sleep(0)
        return True

    def after(self, position: int, limit: int) -> list[Tailed]:
        return [changed("t", position)]

    async def refresh(self) -> None:
        await asyncio.sleep(0)

    def as_of(self, at: float | None) -> Markup:
        return Markup(at)


async def ignore(_: Any) -> None:
    return None


def changed(task_id: str, position: int) -> Tailed:
    task = Task(id=task_id, seq=position)
    return Tailed(position, Change(f"1-{position}", "task", encode_summary(task)))


class Stuck(Around):
    """What stands around pages is read for ever, as from a store in a storm."""

    async def refresh(self) -> None:
        await asyncio.Event().wait()


async def watched(view: Busy, enough: Any, shell: Around | None = None) -> None:
    views = live.LiveViews(Around(), shell or Around())  # type: ignore[arg-type]
    watching = asyncio.create_task(views.follow(view, Stream(ignore)))
    await eventually_async(enough)
    watching.cancel()
    await asyncio.wait([watching])


async def test_a_small_change_is_shown_with_the_next_look() -> None:
    view = Busy(size=1)
    await watched(view, view.has_rendered)
    assert view.looks <= 2 * view.rendered


async def test_a_page_that_changes_as_a_whole_is_sent_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "REFRESH", 1e9)
    monkeypatch.setattr(live, "PACE", 1e-6)
    view = Busy(size=1)
    await watched(view, view.has_looked)
    assert view.rendered == 1


async def test_a_page_does_not_wait_for_what_stands_around_it() -> None:
    view = Busy(size=1)
    await watched(view, view.has_rendered, Stuck())


def test_a_list_is_not_made_anew_for_tasks_that_it_does_not_show() -> None:
    dashboard = SimpleNamespace(shell=Around())
    reach = Reach(newest=9, since=0, first=False)
    shown = TaskList(dashboard, read_query([], 1.0), ["mine"], reach)  # type: ignore[arg-type]
    shown.show([])

    assert not shown.take(Digest([changed("other", 1)]))
    assert shown.take(Digest([changed("mine", 2)]))
