"""The pattern page: every component in every state, with the call that makes it. It is what the
design system looks like, and what the tests of looks compare (docs/design.md)."""

import re

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.tasks import Task, TaskState, seq_of
from app.web.pages.assets import ROOT
from app.web.pages.dashboard import dashboard_of
from app.web.pages.states import INKS, LOOKS, TASK_LOOKS

AT = 1_795_375_569.0
"""Seconds since the epoch of everything on the page: it looks the same each time."""
COLOURS = (
    "page",
    "surface",
    "raised",
    "line",
    "line-strong",
    "text",
    "muted",
    "accent",
    "accent-fill",
    "accent-tint",
    "celery",
    "focus",
)
"""Colours that are none of a state."""
SIZES = ("micro", "tiny", "small", "normal", "large", "title", "display")
DISTANCES = ("s1", "s2", "s3", "s4", "s5", "s6", "s8", "s10", "s12")
LABEL_COLOURS = ("red", "amber", "green", "blue", "violet", "grey")
PART = 1000 // 5
"""Units of the drawing of a time line's part: there are five."""
ICONS = tuple(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "icons.svg").read_text()))

router = APIRouter()


@router.get("/ui/patterns", include_in_schema=False)
async def index(request: Request) -> Response:
    """The page."""
    return await dashboard_of(request).page(
        request,
        "patterns/show.html",
        at=AT,
        colours=COLOURS,
        sizes=SIZES,
        distances=DISTANCES,
        label_colours=LABEL_COLOURS,
        inks=INKS,
        looks=tuple(LOOKS.values()),
        task_states=tuple(TASK_LOOKS),
        tasks=samples(),
        part=PART,
        icons=ICONS,
    )


def samples() -> tuple[Task, ...]:
    """A task that runs, one that succeeded, one that failed, one that was lost."""
    runs = _sample(1, "shop.reports.build", TaskState.PROGRESS, "('2026-11', 60)")
    runs.started_at, runs.progress_current, runs.progress_total = AT, 24.0, 60.0
    ended = _sample(2, "shop.mail.send_receipt", TaskState.SUCCESS, "(10042, 'ada@example.com')")
    ended.runtime = 0.217
    failed = _sample(3, "shop.pay.charge", TaskState.FAILURE, "(10016, 4990)")
    failed.exception = "ValueError('card declined for order 10016: insufficient funds')"
    failed.runtime = 0.373
    return runs, ended, failed, _sample(4, "shop.images.thumbnail", TaskState.LOST, "('22.jpg',)")


def _sample(number: int, name: str, state: TaskState, args: str) -> Task:
    return Task(
        id=f"1acdb165-0000-4000-8000-{number:012}",
        seq=seq_of(AT),
        name=name,
        state=state,
        args_repr=args,
        queue="mail",
        worker="celery@w1",
        sent_at=AT,
    )
