"""The live part of the list of tasks: rows that change in place, and how many there are besides."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from app.domain.errors import Unavailable
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task, TaskState, seq_of
from app.feed.tailed import Tailed
from app.store import lost
from app.store import tasks as stored
from app.store.tasks import Page
from app.web.pages.dashboard import Dashboard
from app.web.pages.digest import Digest
from app.web.pages.formats import dom_id
from app.web.pages.live import TICK
from app.web.pages.query import Query, read_query
from app.web.pages.shell import Whole
from app.web.signatures import placed

ROWS = 50
"""Tasks on one page: two screens of them, and a row each is sent and drawn again quickly."""
NEWER_CAP = 99
"""New tasks are counted so far; beyond it "99+" says all there is to know."""
COUNT_SECONDS = 1.0
"""Between two counts of the new tasks: each is a query, for each view."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Of what a page was read: `newest` is the newest place then, and from `since` on all that
    matched was shown, so that what matches there now and is not shown is new. It is counted on
    the `first` page alone."""

    newest: int
    since: int
    first: bool

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """It as parameters of the live stream."""
        return [
            ("at", str(self.newest)),
            ("whole", str(self.since)),
            ("first", str(int(self.first))),
        ]


class TaskList:
    """A view of some tasks, by their ids: they change in place, others are only counted."""

    every = TICK

    def __init__(
        self, dashboard: Dashboard, query: Query, ids: Sequence[str], reach: Reach
    ) -> None:
        self._dashboard = dashboard
        self._query = query
        self._ids = frozenset(ids)
        self._reach = reach
        self._places: frozenset[int] = frozenset()
        self._turns = turns(query)
        self._rows: dict[str, Markup] | None = None
        self._changed: dict[str, Tailed] = {}
        self._unexplained: dict[str, Task] = {}
        self._newer = self._newer_shown = 0
        self._counting: asyncio.Task[None] | None = None
        self._count_newer = reach.first
        self._counts_newer = reach.first
        self._counted_at = -COUNT_SECONDS
        self._chips: tuple[Whole | None, Markup] = None, Markup()
        pairs = [*query.pairs, *reach.pairs]
        # As the search has it, not as it was understood: a moving "since" stays one view.
        self.key = "tasks?" + urlencode([*pairs, *(("id", one) for one in ids)])

    def show(self, tasks: Iterable[Task]) -> None:
        """Starts from tasks that were just read."""
        self._rows = {}
        self._unexplained = {}
        tasks = list(tasks)
        self._places = frozenset(task.seq for task in tasks)
        for task in tasks:
            self._rows[row_id(task.id)] = self._row(task, None)
            if task.state is TaskState.LOST:
                self._unexplained[task.id] = task

    def take(self, news: Digest | None) -> bool:
        if news is None or self._rows is None:
            self._rows = None
            self._changed = {}
            self._count_newer = self._counts_newer
            return True
        mine = self._ids & news.tasks.keys()
        for task_id in mine:
            self._changed[task_id] = news.tasks[task_id]
        came = news.newest > self._reach.newest and self._newer <= NEWER_CAP
        # What was there already may match now: a task that fails comes to the list of failures.
        turned = self._turns and len(mine) < len(news.tasks)
        if came or turned:
            self._count_newer = self._counts_newer
        counted = self._dashboard.shell.latest is not self._chips[0]
        return bool(mine) or counted or self._newer != self._newer_shown or self._may_count()

    async def fragments(self) -> dict[str, Markup]:
        dashboard, umbel = self._dashboard, self._dashboard.umbel
        if self._rows is None:
            found = await umbel.reading(stored.get_many, umbel.db, sorted(self._ids))
            self.show(found.values())
        self._show_changed()
        begins = self._chips[0] is None
        if self._may_count():
            self._counting = asyncio.create_task(self._count())
            if begins:
                await self._counting
        await self._explain()
        # Rows do not wait for figures: in a storm these take longer than a frame.
        whole = await dashboard.shell.whole() if begins else dashboard.shell.known()
        if whole is not self._chips[0]:
            chips = dashboard.render("tasks/_chips.html", query=self._query, whole=whole)
            self._chips = whole, chips
        self._newer_shown = self._newer
        return {
            "chips": self._chips[1],
            "newer": dashboard.render(
                "tasks/_newer.html", query=self._query, newer=self._newer, cap=NEWER_CAP
            ),
            **(self._rows or {}),
        }

    def _show_changed(self) -> None:
        changed, self._changed = self._changed, {}
        if self._rows is None:
            return
        for task_id, tailed in changed.items():
            self._rows[row_id(task_id)] = self._dashboard.row(tailed, self._query.columns)
            self._unexplained.pop(task_id, None)
            if tailed.task is not None and tailed.task.state is TaskState.LOST:
                self._unexplained[task_id] = tailed.task

    async def _count(self) -> None:
        umbel = self._dashboard.umbel
        self._count_newer = False
        try:
            wanted = await placed(umbel, self._query.filter)
            since, seen = self._reach.since, self._places
            self._newer = await umbel.reading(
                stored.count_unseen, umbel.db, wanted, since, seen, NEWER_CAP + 1
            )
        except Unavailable:  # the shell says what is away, and since when
            self._count_newer = True
        self._counted_at = time.monotonic()

    def _may_count(self) -> bool:
        counting = self._counting is not None and not self._counting.done()
        due = time.monotonic() - self._counted_at >= COUNT_SECONDS
        return self._count_newer and due and not counting

    async def _explain(self) -> None:
        """Says why tasks were given up: their stories do, which rows and changes do not carry."""
        if not self._unexplained or self._rows is None:
            return
        umbel, tasks = self._dashboard.umbel, self._unexplained
        reasons = await umbel.reading(lost.reasons, umbel.db, sorted(tasks))
        for task_id, reason in reasons.items():
            self._rows[row_id(task_id)] = self._row(tasks[task_id], reason)
        self._unexplained = {}

    def _row(self, task: Task, reason: str | None) -> Markup:
        columns = self._query.columns.shown
        return self._dashboard.render("tasks/_row.html", task=task, reason=reason, columns=columns)


def row_id(task_id: str) -> str:
    """The `id` of a task's row."""
    return dom_id("task", task_id)


def follow(dashboard: Dashboard, pairs: Sequence[tuple[str, str]]) -> TaskList:
    """The view that an address of a live stream names. Raises BadInput."""
    ids = [value for key, value in pairs if key == "id"][:ROWS]
    values = dict(pairs)
    newest = _place(values.get("at", ""), seq_of(time.time()))
    reach = Reach(newest, _place(values.get("whole", ""), newest + 1), values.get("first") == "1")
    query = read_query((pair for pair in pairs if pair[0] != "id"), time.time())
    return TaskList(dashboard, query, ids, reach)


def view_of_page(dashboard: Dashboard, query: Query, page: Page, now: float) -> TaskList:
    """The view of tasks that were just read."""
    places = [task.seq for task in page.tasks]
    # Other clocks may be ahead of ours: what is shown already is not new.
    newest = max(places, default=0)
    if query.sort is not Sort.NEWEST or not places:
        newest = max(newest, seq_of(now))
    since = newest + 1
    if turns(query):
        since = 0 if page.next is None else min(places, default=since)
    reach = Reach(newest, since, query.cursor is None)
    view = TaskList(dashboard, query, [task.id for task in page.tasks], reach)
    view.show(page.tasks)
    return view


def turns(query: Query) -> bool:
    """Whether tasks come to match that were there before, and an index alone tells which: the
    newest first, by their state or worker."""
    wanted = query.filter
    plain = TaskFilter(
        states=wanted.states,
        names=wanted.names,
        queues=wanted.queues,
        workers=wanted.workers,
        since=wanted.since,
        until=wanted.until,
    )
    turning = bool(wanted.states or wanted.workers)
    return turning and wanted == plain and query.sort is Sort.NEWEST


def _place(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else otherwise
