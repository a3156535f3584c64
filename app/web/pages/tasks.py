"""The list of tasks: filtered by its address, live in place, and never moving under a reader."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.domain.errors import BadSearch
from app.domain.filters import Sort
from app.domain.search_keys import KEYS
from app.domain.tasks import seq_time
from app.store import tasks as stored
from app.store import totals
from app.store.cursors import parse_cursor
from app.store.tasks import Page
from app.store.totals import Total
from app.web.language import marked
from app.web.lines import EXPORT_LIMIT
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.peek import peek_at
from app.web.pages.query import Query, read_query, show_mistake
from app.web.pages.tasklist import ROWS, row_id, view_of_page
from app.web.pages.views import default_of, offered
from app.web.signatures import placed

ORDERS = (
    (Sort.NEWEST, marked("Newest first")),
    (Sort.OLDEST, marked("Oldest first")),
    (Sort.LONGEST, marked("Longest run first")),
    (Sort.SHORTEST, marked("Shortest run first")),
)

router = APIRouter()


@router.get("/ui/tasks", include_in_schema=False)
async def index(request: Request) -> Response:
    """The list."""
    dashboard, now = dashboard_of(request), time.time()
    umbel = dashboard.umbel
    pairs = request.query_params.multi_items()
    if not pairs and (address := await default_of(dashboard, request)) is not None:
        return RedirectResponse(address, 302)
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
    view = view_of_page(dashboard, query, page, read_at)
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
        saved=await offered(dashboard, request, query),
        peek=await peek_at(dashboard, request.query_params.get("peek")),
        reached=_reached(query, page),
    )


def _reached(query: Query, page: Page) -> float | None:
    """To which moment it was looked back where nothing was found so far."""
    if page.tasks or page.next is None:
        return None
    return seq_time(parse_cursor(query.sort, page.next).seq)


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
