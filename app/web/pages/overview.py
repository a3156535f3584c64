"""The first page: what needs attention, then how it goes, then where to go on."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app.domain.errors import StoreUnavailable
from app.domain.filters import TaskFilter
from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState
from app.domain.workers import Worker, WorkerState
from app.store import lost, tasks
from app.store.stories import Stories
from app.web.figures import BY, RANGES
from app.web.language import marked_in, text
from app.web.pages.attention import Attention, attention_of
from app.web.pages.concerns import address_of
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.digest import Digest
from app.web.pages.ended import Choice, EndedPart, choice_of, part_of
from app.web.pages.forms import Offer, offers
from app.web.pages.welcome import Welcome, welcome_of

LATEST = 8
"""Tasks in each short list: what fits beside the figures without scrolling."""
LONGEST_LIST = 8
"""Workers and queues shown, the busiest first; the others have pages of their own."""
COUNTED = (
    (marked_in("state", "Pending"), (TaskState.PENDING,)),
    (marked_in("state", "Received"), (TaskState.RECEIVED,)),
    (marked_in("state", "Running"), (TaskState.STARTED, TaskState.PROGRESS)),
    (marked_in("state", "Retry"), (TaskState.RETRY,)),
    (marked_in("state", "Success"), (TaskState.SUCCESS,)),
    (marked_in("state", "Failure"), (TaskState.FAILURE, TaskState.REJECTED)),
    (marked_in("state", "Lost"), (TaskState.LOST,)),
    (marked_in("state", "Revoked"), (TaskState.REVOKED,)),
)
"""States that are counted at the top: always the same, so that nothing moves as tasks do."""
FORMS = 12
"""Tasks whose forms stand on the page; more are found on the page for submitting."""

router = APIRouter()


class Count(NamedTuple):
    """How many tasks are in some states, of which the first lends its colour and icon."""

    word: str
    state: str
    many: int
    address: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows."""

    attention: Attention
    counts: tuple[Count, ...]
    ended: EndedPart
    stories: Stories
    workers: tuple[Worker, ...]
    queues: tuple[Queue, ...]
    latest: tuple[Task, ...]
    failures: tuple[Task, ...]
    reasons: Mapping[str, str]
    offers: tuple[Offer, ...]
    more_offers: int
    is_empty: bool
    welcome: Welcome | None


class OverviewView:
    """The view of the first page; everybody who chose the same figures shares it."""

    every = 1.0
    """Seconds. Figures that change four times a second can't be read."""
    parts = (
        "attention",
        "welcome",
        "counts",
        "ended",
        "labels",
        "latest",
        "failures",
        "submit",
        "fleet",
        "depths",
    )

    def __init__(self, dashboard: Dashboard, choice: Choice, *, plain: bool = False) -> None:
        """`plain`: with what only a page without scripts needs."""
        self._dashboard = dashboard
        self._plain = plain
        self._choice = choice
        self.key = f"overview?{choice.query}" if choice.query else "overview"

    def take(self, news: Digest | None) -> bool:
        return news is None or bool(news)

    async def fragments(self) -> dict[str, Markup]:
        page = await read_page(self._dashboard, self._choice)
        render = self._dashboard.render
        return {
            part: render(f"overview/_{part}.html", page=page, plain=self._plain)
            for part in self.parts
        }


async def read_page(dashboard: Dashboard, choice: Choice) -> Overview:
    """Reads it all. Raises StoreUnavailable."""
    umbel = dashboard.umbel
    whole = await dashboard.shell.whole()
    charted = await dashboard.charts.read(choice.range, BY[choice.by])
    compared = await dashboard.comparison.read()
    latest = await umbel.reading(tasks.page, umbel.db, TaskFilter(), limit=LATEST)
    failed = TaskFilter(states=(TaskState.FAILURE, TaskState.LOST))
    failures = await umbel.reading(tasks.page, umbel.db, failed, limit=LATEST)
    given_up = [task.id for task in failures.tasks if task.state is TaskState.LOST]
    known = await umbel.quality.read()
    online = [worker for worker in whole.workers if worker.state is WorkerState.ONLINE]
    busiest = sorted(online, key=lambda worker: (-(worker.active or 0), worker.name))
    deepest = sorted(whole.queues, key=lambda queue: (-queue.waiting, queue.name))
    offered = offers(await umbel.operations.catalog())
    return Overview(
        attention=attention_of(whole, known, compared, umbel.health, time.time()),
        counts=tuple(_counts(whole.counts)),
        ended=part_of(charted, choice, umbel.health),
        workers=tuple(busiest[:LONGEST_LIST]),
        queues=tuple(deepest[:LONGEST_LIST]),
        latest=tuple(latest.tasks),
        failures=tuple(failures.tasks),
        reasons=await umbel.reading(lost.reasons, umbel.db, given_up),
        stories=known.hour,
        offers=offered[:FORMS],
        more_offers=max(0, len(offered) - FORMS),
        is_empty=not latest.tasks,
        welcome=None if latest.tasks else welcome_of(dashboard, whole),
    )


@router.get("/", include_in_schema=False)
async def show(request: Request) -> Response:
    """The page."""
    dashboard = dashboard_of(request)
    choice = choice_of(request.query_params.multi_items())
    view = OverviewView(dashboard, choice, plain=True)
    return await dashboard.page(
        request,
        "overview/show.html",
        view,
        choice=choice,
        ranges=tuple(RANGES.values()),
        is_empty=await _is_empty(dashboard),
    )


def _counts(counts: Mapping[TaskState, int]) -> Iterator[Count]:
    for word, states in COUNTED:
        address = address_of(state=",".join(states))
        yield Count(text(word), states[0], sum(counts.get(state, 0) for state in states), address)


async def _is_empty(dashboard: Dashboard) -> bool:
    """Whether no task was ever heard of, as far as that is known now."""
    try:
        whole = await dashboard.shell.whole()
    except StoreUnavailable:
        return False
    return not any(whole.counts.values())
