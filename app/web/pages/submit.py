"""Sending a task from a form made of its schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.domain.errors import BadInput, FieldError, UmbelError
from app.domain.queues import Queue
from app.operations.catalog import Catalog
from app.store import queues
from app.web.errors import status_of
from app.web.pages import actions
from app.web.pages.dashboard import dashboard_of
from app.web.pages.forms import Offer, answer, blamed, offers
from app.web.pages.render import task_path
from app.web.state import Umbel

OPTIONS = ("queue", "countdown", "expires", "priority")
"""What may be said about the sending itself. `countdown` and `expires` are in seconds."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it is shown: empty, or as it came back with what is wrong."""

    offer: Offer
    options: Mapping[str, str]
    errors: tuple[FieldError, ...] = ()
    error: UmbelError | None = None

    def wrong(self, option: str) -> str:
        """What is wrong with one of the options."""
        return next((error.msg for error in self.errors if option in error.loc), "")


@router.get("/ui/submit", include_in_schema=False)
async def choose(request: Request) -> Response:
    """The forms of all tasks, or of the one named."""
    return await _page(request, request.query_params.get("name"))


@router.post("/ui/submit", include_in_schema=False)
async def submit(request: Request) -> Response:
    """Sends the task, and goes to its page."""
    dashboard = dashboard_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    name = form.get("name", "")
    catalog = await dashboard.umbel.operations.catalog()
    offer = next((one for one in offers(catalog) if one.name == name), None)
    if offer is None:
        error = BadInput(f"No worker that is online has a task {name[:200]!r}.")
        return await _page(request, None, error=error)
    options = {option: form.get(option, "").strip() for option in OPTIONS}
    found = answer(offer, form)
    fields, errors = found.fields, found.errors
    problem: UmbelError | None = None
    if not errors:
        try:
            given = actions.Given(name, found.args, found.kwargs, options)
            task_id = await actions.submit(dashboard, request, given)
            return RedirectResponse(task_path(task_id), 303)
        except UmbelError as error:
            problem = error
            errors = error.errors if isinstance(error, BadInput) else ()
            fields = blamed(fields, errors)
    filled = Offer(offer.name, offer.doc, fields, offer.schema, offer.workers)
    problem = problem or BadInput("Nothing was sent: see the marked fields.", errors)
    return await _page(request, name, form=Form(filled, options, errors, problem))


async def _page(
    request: Request,
    name: str | None,
    *,
    form: Form | None = None,
    error: UmbelError | None = None,
) -> Response:
    dashboard = dashboard_of(request)
    (listed, catalog), as_of = await dashboard.recall("submit", partial(_read, dashboard.umbel))
    offered = offers(catalog)
    chosen = next((one for one in offered if one.name == name), None)
    if form is None and chosen is not None:
        form = Form(chosen, dict.fromkeys(OPTIONS, ""))
    problem = error or (form.error if form else None)
    return await dashboard.page(
        request,
        "submit/show.html",
        status=200 if problem is None else status_of(problem),
        as_of=as_of,
        offers=offered,
        form=form,
        asked=name,
        error=problem,
        queues=[queue.name for queue in listed],
    )


async def _read(umbel: Umbel) -> tuple[list[Queue], Catalog]:
    listed = await umbel.reading(queues.list_all, umbel.db)
    return listed, await umbel.operations.catalog()
