"""The live stream of a page: one for each open page, whatever it shows."""

from functools import partial
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.domain.errors import BadInput, FieldError, NotFound, UmbelError
from app.web.errors import refusal
from app.web.language import LANGUAGES, speak
from app.web.packing import GZIP, VARY, pack_frame, takes_gzip
from app.web.pages import fleet, queues, task, tasklist, workers
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.ended import choice_of
from app.web.pages.live import RATES
from app.web.pages.overview import OverviewView
from app.web.pages.quality import QualityView
from app.web.pages.reader import language_of
from app.web.pages.rendering import View
from app.web.security import PLAIN_SEND
from app.web.stream import HEADERS

PLACE = "/ui/live/"
RETRY_MS = 1000
"""When a page connects again after a goodbye."""
BYE = b"retry: %d\nevent: bye\ndata: {}\n\n" % RETRY_MS
PACKED_BYE = pack_frame(BYE)


class PageStream:
    """The endpoint: fragments of a page, whenever they look different. Plain ASGI, as `/events`
    is, and compressed for all viewers at once (docs/decisions/0018-live-bytes.md)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        dashboard = dashboard_of(request)
        streams = dashboard.umbel.streams
        packed = takes_gzip(scope["headers"])
        try:
            tag, page = _spoken(scope["path"].removeprefix(PLACE))
            speak(tag or language_of(request))
            every, pairs = _paced(_pairs(scope))
            view = view_of(dashboard, page, pairs)
            streams.check()
            dashboard.views.check(view)
        except UmbelError as error:
            await refusal(scope["path"], error)(scope, receive, send)
            return
        headers = [*HEADERS, GZIP, VARY] if packed else [*HEADERS, VARY]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope.get("head"):
            await send({"type": "http.response.body", "body": b""})
            return
        follow = partial(dashboard.views.follow, view, packed=packed, every=every)
        plain = scope.get(PLAIN_SEND, send)
        await streams.serve(receive, plain, follow, PACKED_BYE if packed else BYE)


STREAMS = {PLACE: PageStream()}
route = Route(PLACE + "{page:path}", STREAMS[PLACE], methods=["GET"], include_in_schema=False)


def view_of(dashboard: Dashboard, page: str, pairs: list[tuple[str, str]]) -> View:
    """The view that an address names. Raises NotFound, BadInput."""
    kind, _, name = page.partition("/")
    match kind, bool(name):
        case "overview", False:
            return OverviewView(dashboard, choice_of(pairs))
        case "data-quality", False:
            return QualityView(dashboard)
        case "tasks", False:
            return tasklist.follow(dashboard, pairs)
        case "tasks", True:
            return task.TaskView(dashboard, name)
        case "workers", False:
            return workers.WorkersView(dashboard, fleet.choice_of(pairs))
        case "workers", True:
            return workers.WorkerView(dashboard, name, pairs)
        case "queues", False:
            return queues.QueuesView(dashboard)
        case "queues", True:
            return queues.QueueView(dashboard, name, pairs)
    raise NotFound(f"There is no live page {page[:100]!r}.")


def _spoken(path: str) -> tuple[str | None, str]:
    """The language of the page that listens, and what it shows: a page stays in its language when
    another one is chosen beside it. An address that names none is in the reader's."""
    tag, _, page = path.partition("/")
    return (tag, page) if tag in LANGUAGES else (None, path)


def _paced(pairs: list[tuple[str, str]]) -> tuple[float, list[tuple[str, str]]]:
    """How many seconds the reader wants between two frames, and the rest. Raises BadInput."""
    given = [value for name, value in pairs if name == "every"]
    rest = [pair for pair in pairs if pair[0] != "every"]
    if not given:
        return 0.0, rest
    if given[-1] not in RATES:
        words = f"{given[-1][:60]!r} is not one of {', '.join(RATES)}"
        raise BadInput("There is no such rate.", (FieldError(("query", "every"), words),))
    return RATES[given[-1]], rest


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
