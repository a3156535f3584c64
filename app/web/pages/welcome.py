"""The first minutes: what an empty Umbel sees, how an application is attached, and the samples."""

import json
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.broker.transport import NO_RESULTS, Transport, safe_url
from app.domain.workers import WorkerState
from app.operations.samples import SAMPLES
from app.web.pages import actions
from app.web.pages.actions import Given
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.shell import Whole

SLEPT_SECONDS = 20
"""Of the long sample: enough to open its page and watch it."""
NUMBERS = tuple(round((number * 37 % 101) / 3, 2) for number in range(2_000))
"""What the third sample describes: enough to report progress, and sent in a moment."""
ARGUMENTS = {
    "worker.tasks.add": [2, 3],
    "worker.tasks.process_data": [NUMBERS],
    "worker.tasks.long_task": [SLEPT_SECONDS],
}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Connection:
    """What an application has to have the same as Umbel, with no secret in it.

    `results` is "" where Umbel reads none, `prefix` and `exchange` where they are Celery's own.
    """

    broker: str
    results: str
    prefix: str
    exchange: str
    has_secret: bool


@dataclass(frozen=True, slots=True)
class Welcome:
    """What is seen so far. `unheard` is how many tasks workers say they have processed, which no
    event told of."""

    connection: Connection
    workers: tuple[str, ...]
    unheard: int
    has_samples: bool


def welcome_of(dashboard: Dashboard, whole: Whole) -> Welcome:
    """What to tell somebody who sees no task yet."""
    online = [worker for worker in whole.workers if worker.state is WorkerState.ONLINE]
    names = {name for worker in online for name, _ in worker.catalog or ()}
    return Welcome(
        connection=connection_of(dashboard.umbel.transport),
        workers=tuple(worker.name for worker in online),
        unheard=sum(worker.processed or 0 for worker in online),
        has_samples=SAMPLES.keys() <= names,
    )


def connection_of(transport: Transport) -> Connection:
    """How to reach the same broker."""
    plain = Transport.from_options(transport.url)
    results = transport.result_url
    return Connection(
        broker=safe_url(transport.url),
        results="" if results in (*NO_RESULTS, "") else safe_url(results),
        prefix=transport.global_keyprefix,
        exchange=_unless(transport.event_exchange, plain.event_exchange),
        has_secret="@" in transport.url,
    )


def _unless(value: str, usual: str) -> str:
    return "" if value == usual else value


@router.get("/ui/attach", include_in_schema=False)
async def attach(request: Request) -> Response:
    """How to attach an application of one's own, with the lines for the broker in use."""
    dashboard = dashboard_of(request)
    connection = connection_of(dashboard.umbel.transport)
    return await dashboard.page(request, "attach/show.html", connection=connection)


@router.post("/ui/samples", include_in_schema=False)
async def submit_samples(request: Request) -> Response:
    """Sends each sample task once, and goes to the list, where they can be watched."""
    dashboard = dashboard_of(request)
    for name, args in ARGUMENTS.items():
        given = Given(name, json.dumps(args), "{}", {})
        await actions.submit(dashboard, request, given)
    return RedirectResponse("/ui/tasks", 303)
