"""What somebody wants to get to, found by a few letters: pages, views, tasks, queues, workers.

`static/js/palette.js` adds what can be done on the page at hand and what was chosen lately; without
scripts it is a page with a form.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from app.domain.errors import StoreUnavailable
from app.domain.search import Search, Term
from app.domain.search_keys import TEXT
from app.domain.tasks import Task
from app.domain.views import SavedView
from app.operations.catalog import Catalog
from app.store import tasks as stored
from app.store.database import Database
from app.web.language import gettext as _
from app.web.pages.dashboard import Dashboard, dashboard_of
from app.web.pages.formats import short_id, short_name
from app.web.pages.query import address_of
from app.web.pages.render import queue_path, submit_path, task_path, worker_path
from app.web.pages.shell import Whole
from app.web.pages.views import path_of

LONGEST = 200
"""Characters of what is typed: a pasted id has fewer, and more is no few letters."""
OFFERED = 20
"""Results at once: what fits on a screen."""
OF_A_KIND = 6
"""Results of one kind, so that a hundred workers do not hide the one queue."""
LOOKED = 2_000
"""Task names that are looked through for a part of one; of more, only what begins so is found."""
SHORTEST_ID = 4
"""Letters by which an id is looked for; fewer are those of too many."""

EXACT, BEGINS, WORD, PART, PARTS, NONE = range(6)
"""How well a text fits a name: the least is the best."""
_SPLIT = re.compile(r"[\s._\-/@:]+")

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Found:
    """One result. `kind` is said with it, `detail` beside it; `state` lends a colour."""

    kind: str
    words: str
    address: str
    detail: str = ""
    state: str = ""
    fits: int = NONE


@dataclass(frozen=True, slots=True)
class Known:
    """What one reading of the store found for a text: tasks by their ids, and names."""

    tasks: tuple[Task, ...] = ()
    names: tuple[str, ...] = ()


@router.get("/ui/palette", include_in_schema=False)
async def find(
    request: Request, q: str = Query("", max_length=LONGEST), part: str = ""
) -> Response:
    """The page, or with `part=list` the results alone."""
    dashboard = dashboard_of(request)
    text = q.strip()
    found = await results(dashboard, text)
    if part != "list":
        return await dashboard.page(request, "palette/index.html", found=found, typed=text)
    body = dashboard.render("palette/_list.html", found=found).encode(errors="replace")
    return HTMLResponse(body, headers={"Cache-Control": "no-store"})


async def results(dashboard: Dashboard, text: str) -> list[Found]:
    """What a text may mean, the best first; where the store is away only what needs none."""
    found = _best(text, _pages())
    if not text:
        return found
    umbel = dashboard.umbel
    try:
        whole = await dashboard.shell.whole()
        views = await dashboard.known_views.get()
        catalog = await umbel.operations.catalog()
        known = await umbel.reading(_read, umbel.db, text)
    except StoreUnavailable:
        pass  # which the page around says already
    else:
        for kind in (
            _of_ids(text, known.tasks),
            _best(text, _of_views(views)),
            _best(text, _of_names([*known.names, *catalog.entries])),
            _best(text, _to_submit(catalog)),
            _best(text, _of_queues(whole)),
            _best(text, _of_workers(whole)),
        ):
            found += kind
    # Equals stay in the order of kinds.
    found.sort(key=lambda one: one.fits)
    return [*found[:OFFERED], _search(text)]


def fit(text: str, name: str) -> int:
    """How well a text fits a name."""
    wanted, whole = text.casefold(), name.casefold()
    if whole == wanted:
        return EXACT
    if whole.startswith(wanted):
        return BEGINS
    if any(word.startswith(wanted) for word in _SPLIT.split(whole)):
        return WORD
    if wanted in whole:
        return PART
    return PARTS if all(part in whole for part in wanted.split()) else NONE


def _best(text: str, some: Iterable[Found]) -> list[Found]:
    """Of one kind those that fit, the best first, and not too many."""
    found = [replace(one, fits=fit(text, one.words)) for one in some]
    found = sorted((one for one in found if one.fits < NONE), key=lambda one: one.fits)
    return found[: OF_A_KIND if text else OFFERED]


def _pages() -> Iterator[Found]:
    for words, address in (
        (_("Overview"), "/"),
        (_("Tasks"), "/ui/tasks"),
        (_("Failed tasks"), "/ui/tasks?q=state:failure,rejected,lost"),
        (_("Running tasks"), "/ui/tasks?q=state:started,progress"),
        (_("Queues"), "/ui/queues"),
        (_("Workers"), "/ui/workers"),
        (_("Submit a task"), "/ui/submit"),
        (_("Data quality"), "/ui/data-quality"),
        (_("Figures step by step"), "/ui/figures"),
        (_("Keyboard shortcuts"), "/ui/keys"),
        (_("API documentation"), "/docs"),
    ):
        yield Found(_("Page"), words, address)


def _of_ids(text: str, known: Iterable[Task]) -> Iterator[Found]:
    for task in known:
        whole = task.id == text
        yield Found(
            _("Task"),
            short_name(task.name),
            task_path(task.id),
            task.id if whole else short_id(task.id),
            task.state.value,
            EXACT if whole else BEGINS,
        )


def _of_views(views: Iterable[SavedView]) -> Iterator[Found]:
    for view in views:
        yield Found(_("View"), view.name, path_of(view))


def _of_names(names: Iterable[str]) -> Iterator[Found]:
    for name in dict.fromkeys(names):
        yield Found(_("Tasks of this name"), name, address_of([("q", str(Term("name", (name,))))]))


def _to_submit(catalog: Catalog) -> Iterator[Found]:
    for name in catalog.entries:
        yield Found(_("Submit"), name, submit_path(name))


def _of_queues(whole: Whole) -> Iterator[Found]:
    for queue in whole.queues:
        yield Found(_("Queue"), queue.name, queue_path(queue.name))


def _of_workers(whole: Whole) -> Iterator[Found]:
    for worker in whole.workers:
        address = worker_path(worker.name)
        yield Found(_("Worker"), worker.name, address, state=worker.state.value)


def _search(text: str) -> Found:
    words = Search.of([Term(TEXT, tuple(text.split()))])
    address = address_of([("q", str(words))])
    return Found(_("Search"), _("Search all tasks for “%(text)s”", text=text), address)


def _read(db: Database, text: str) -> Known:
    """Three questions to the store, each along an index. Raises StoreUnavailable."""
    by_id = stored.with_id(db, text, OF_A_KIND) if len(text) >= SHORTEST_ID else []
    names = [*stored.names(db, text, OF_A_KIND), *stored.names(db, "", LOOKED)]
    return Known(tuple(by_id), tuple(names))
