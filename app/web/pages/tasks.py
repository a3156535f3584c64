"""The list of tasks: filtered by its address, live in place, and never moving under a reader."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import BadSearch, Unavailable
from app.domain.filters import Sort
from app.domain.search_keys import KEYS
from app.domain.tasks import Task, TaskState, seq_of
from app.feed.tailed import Tailed
from app.store import lost, totals
from app.store import tasks as stored
from app.store.tasks import Page
from app.store.totals import Total
from app.web.language import marked
from app.web.lines import EXPORT_LIMIT
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.formats import dom_id
from app.web.pages.live import TICK
from app.web.pages.query import Query, read_query, show_mistake
from app.web.pages.shell import Whole
from app.web.signatures import placed

ROWS = 50
"""Tasks on one page: two screens of them, and a row each is sent and drawn again quickly."""
NEWER_CAP = 99
"""New tasks are counted so far; beyond it "99+" says all there is to know."""
COUNT_SECONDS = 1.0
"""Between two counts of the new tasks: each is a query, for each view."""
ORDERS = (
    (Sort.NEWEST, marked("Newest first")),
    (Sort.OLDEST, marked("Oldest first")),
    (Sort.LONGEST, marked("Longest run first")),
    (Sort.SHORTEST, marked("Shortest run first")),
)

router = APIRouter()


class TaskList:
    """A view of some tasks, by their ids: they change in place, others are only counted."""

    every = TICK

    def __init__(
        self, dashboard: Dashboard, query: Query, ids: Sequence[str], newest: int, first: bool
    ) -> None:
        self._dashboard = dashboard
        self._query = query
        self._ids = frozenset(ids)
        self._newest = newest
        self._rows: dict[str, Markup] | None = None
        self._changed: dict[str, Tailed] = {}
        self._unexplained: dict[str, Task] = {}
        self._newer = self._newer_shown = 0
        self._counting: asyncio.Task[None] | None = None
        self._count_newer = first
        self._counts_newer = first
        self._counted_at = -COUNT_SECONDS
        self._chips: tuple[Whole | None, Markup] = None, Markup()
        pairs = [*query.pairs, ("at", str(newest)), ("first", str(int(first)))]
        # As the search has it, not as it was understood: a moving "since" stays one view.
        self.key = "tasks?" + urlencode([*pairs, *(("id", one) for one in ids)])

    def show(self, tasks: Iterable[Task]) -> None:
        """Starts from tasks that were just read."""
        self._rows = {}
        self._unexplained = {}
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
        if news.newest > self._newest and self._newer <= NEWER_CAP:
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
            self._newer = await umbel.reading(
                stored.count_newer, umbel.db, wanted, self._newest, NEWER_CAP + 1
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


@router.get("/ui/tasks", include_in_schema=False)
async def index(request: Request) -> Response:
    """The list."""
    dashboard, now = dashboard_of(request), time.time()
    umbel = dashboard.umbel
    pairs = request.query_params.multi_items()
    try:
        query = read_query(pairs, now)
    except BadSearch as wrong:
        return await _mistaken(request, dashboard, wrong, pairs)

    async def read() -> tuple[Page, Total, float]:
        wanted = await placed(umbel, query.filter)
        page, total = await asyncio.gather(
            umbel.reading(
                stored.page,
                umbel.db,
                wanted,
                sort=query.sort,
                limit=ROWS,
                cursor=query.cursor,
            ),
            umbel.reading(totals.total, umbel.db, wanted),
        )
        to_the_end = page.is_all(query.sort, query.cursor)
        return page, total.at_least(len(page.tasks), to_the_end=to_the_end), now

    key = query.address(cursor=query.cursor)
    (page, total, read_at), as_of = await dashboard.recall(key, read)
    view = _view(dashboard, query, page, read_at)
    return await dashboard.page(
        request,
        "tasks/index.html",
        view,
        as_of=as_of,
        query=query,
        total=total,
        columns=query.columns.shown,
        rows=[row_id(task.id) for task in page.tasks],
        older=_older(query, page, total),
        typed=str(query.search),
        mistakes=(),
        orders=ORDERS,
        keys=KEYS,
        export_limit=EXPORT_LIMIT,
    )


def _older(query: Query, page: Page, total: Total) -> str | None:
    """The address of what follows; None where nothing does, or all that match are shown."""
    if query.cursor is None and total.exact and len(page.tasks) >= total.count:
        return None
    return query.address(cursor=page.next) if page.next else None


async def _mistaken(
    request: Request, dashboard: Dashboard, wrong: BadSearch, pairs: Sequence[tuple[str, str]]
) -> Response:
    """The box with what was typed, and where it is wrong; nothing was searched."""
    query = read_query([pair for pair in pairs if pair[0] in ("sort", "columns")], time.time())
    return await dashboard.page(
        request,
        "tasks/mistaken.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        query=query,
        typed=wrong.text,
        mistakes=[show_mistake(query, wrong.text, mistake) for mistake in wrong.mistakes],
        orders=ORDERS,
        keys=KEYS,
    )


def follow(dashboard: Dashboard, pairs: Sequence[tuple[str, str]]) -> TaskList:
    """The view that an address of a live stream names. Raises BadInput."""
    ids = [value for key, value in pairs if key == "id"][:ROWS]
    values = dict(pairs)
    at = values.get("at", "")
    newest = int(at) if at.isascii() and at.isdigit() else seq_of(time.time())
    query = read_query((pair for pair in pairs if pair[0] != "id"), time.time())
    return TaskList(dashboard, query, ids, newest, values.get("first") == "1")


def _view(dashboard: Dashboard, query: Query, page: Page, now: float) -> TaskList:
    # Other clocks may be ahead of ours: what is shown already is not new.
    newest = max([task.seq for task in page.tasks], default=0)
    if query.sort is not Sort.NEWEST or not page.tasks:
        newest = max(newest, seq_of(now))
    ids = [task.id for task in page.tasks]
    view = TaskList(dashboard, query, ids, newest, query.cursor is None)
    view.show(page.tasks)
    return view
