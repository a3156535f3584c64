"""The steps of the charts as a table: every number that is drawn, each with the list behind it."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.store.figures import FAILED
from app.web.figures import BY
from app.web.pages.chart import OUTCOMES, Step
from app.web.pages.dashboard import dashboard_of
from app.web.pages.ended import chart_of, choice_of, list_of

STATES = (
    "",
    *(",".join(state.value for state in states) for _, states in OUTCOMES),
    ",".join(state.value for state in FAILED),
)
"""Of which states the list is that proves a cell, in their order; "" is any, and cells beyond are
percentiles."""

router = APIRouter()


@router.get("/ui/figures", include_in_schema=False)
async def index(request: Request) -> Response:
    """The page."""
    dashboard = dashboard_of(request)
    choice = choice_of(request.query_params.multi_items())

    async def read() -> tuple[tuple[Step, ...], float]:
        charted = await dashboard.charts.read(choice.range, BY[choice.by])
        return chart_of(charted, dashboard.umbel.health).steps, time.time()

    (steps, read_at), as_of = await dashboard.recall(f"figures?{choice.range.key}", read)
    return await dashboard.page(
        request,
        "figures/index.html",
        as_of=as_of,
        choice=choice,
        steps=steps[::-1],
        read_at=read_at,
        address=list_of,
        states=STATES,
    )
