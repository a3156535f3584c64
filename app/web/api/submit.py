"""Submitting tasks: the three samples by their own names, any task, and many at once."""

import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.broker.message import Arguments, Submission
from app.domain.errors import BadInput, FieldError, UmbelError
from app.domain.tasks import TaskState
from app.operations.actor import Actor
from app.web.api.answers import CONTENT_TYPE, Submitted, SubmittedBatch, accepted, links_of
from app.web.api.bodies import Add, Batch, Delay, Long, Process, Submit
from app.web.api.decode import decode, idempotency_key, read_body, read_json
from app.web.errors import mistake, refusal, render
from app.web.openapi import Documented, documented, header, operation
from app.web.protocol import WHOLE_ANSWER, WholeAnswer
from app.web.state import of_scope

ADD = "worker.tasks.add"
LONG = "worker.tasks.long_task"
PROCESS = "worker.tasks.process_data"

IDEMPOTENCY = header(
    "Idempotency-Key",
    "The same key with the same body gives the same answer, and is sent once, for a day",
    {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
)
LOCATION = {"Location": "Where the task is read"}
Headers = tuple[tuple[bytes, bytes], ...]
PROBLEMS = (409, 413, 422, 503)

T = TypeVar("T")
Act = Callable[[Scope, T, str | None], Awaitable[tuple[bytes, Headers]]]
"""Sends what a decoded body asks for; the answer's body and the headers that it has besides."""

_encode = msgspec.json.Encoder().encode


class SubmitEndpoint(Generic[T]):
    """Takes one kind of body and sends the task, or the tasks, that it asks for.

    A plain ASGI endpoint that needs nothing around it, for the framework's layers for one
    request cost as much as sending does: it makes problem documents of its errors by itself.
    """

    def __init__(self, path: str, kind: type[T], act: Act[T]) -> None:
        self.path = path
        self.kind = kind
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            key = idempotency_key(scope)
            data = await read_body(receive)
            if data is None:
                return
            body, more = await self._act(scope, decode(data, self.kind), key)
        except UmbelError as error:
            await refusal(scope["path"], error)(scope, receive, send)
            return
        except Exception as error:
            await render(mistake(scope["path"], error))(scope, receive, send)
            return
        answer: WholeAnswer | None = scope.get(WHOLE_ANSWER)
        if answer is not None and answer(accepted(more, len(body)), body):
            return
        headers = [CONTENT_TYPE, *more, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def route(self) -> Route:
        """The endpoint at its path."""
        return Route(self.path, self, methods=["POST"])

    def document(self, summary: str, description: str) -> Documented:
        """Its part of the OpenAPI document."""
        told = documented(
            summary,
            body=self.kind,
            answers={202: SubmittedBatch if self.kind is Batch else Submitted},
            problems=PROBLEMS,
            parameters=[IDEMPOTENCY],
            headers=None if self.kind is Batch else LOCATION,
        )
        return operation("submit", description, told)


def sending(make: Callable[[T], Submission]) -> Act[T]:
    """Sends the one task that `make` makes of a body."""

    async def act(scope: Scope, body: T, key: str | None) -> tuple[bytes, Headers]:
        operations = of_scope(scope).operations
        published = await operations.submit(actor_of(scope), make(body), key)
        task_id = published.task_ids[0]
        links = links_of(task_id)
        answer = _encode(Submitted(task_id, TaskState.PENDING.value, links))
        return answer, ((b"location", links.self_.encode()),)

    return act


async def send_batch(scope: Scope, body: Batch, key: str | None) -> tuple[bytes, Headers]:
    """All are checked, then all are sent in order; or none is."""
    now = time.time()
    submissions = [
        submission(one, ("body", "tasks", number), now) for number, one in enumerate(body.tasks)
    ]
    operations = of_scope(scope).operations
    published = await operations.submit_batch(actor_of(scope), submissions, key)
    return _encode(SubmittedBatch(published.task_ids, len(published.task_ids))), ()


def _add(body: Add) -> Submission:
    _check_range("x", [body.x])
    _check_range("y", [body.y])
    return _sample(ADD, [body.x, body.y])


def _long(body: Long) -> Submission:
    return _sample(LONG, [body.seconds])


def _check_range(name: str, numbers: Sequence[int | float]) -> None:
    """Refuses a whole number beyond what a 64-bit float holds, as the worker would later."""
    try:
        array("d", numbers)  # converts in C: there can be half a million
    except OverflowError:
        error = FieldError(("body", name), "a number is too large: at most 1.797e308")
        raise BadInput(f"{name} can't be computed with.", (error,)) from None


def _process(body: Process) -> Submission:
    _check_range("data", body.data)
    return _sample(PROCESS, [body.data])


def _sample(name: str, args: list[object]) -> Submission:
    return Submission(name=name, args=_encode(args).decode(), values=Arguments(args, {}))


def _any(body: Submit) -> Submission:
    return submission(body, ("body",), time.time())


_ENDPOINTS: tuple[tuple[SubmitEndpoint[Any], str, str], ...] = (
    (SubmitEndpoint("/tasks/add", Add, sending(_add)), "Add two numbers", f"Sends `{ADD}`."),
    (
        SubmitEndpoint("/tasks/long", Long, sending(_long)),
        "Sleep, with progress",
        f"Sends `{LONG}`.",
    ),
    (
        SubmitEndpoint("/tasks/process", Process, sending(_process)),
        "Describe numbers",
        f"Sends `{PROCESS}`.",
    ),
    (
        SubmitEndpoint("/tasks", Submit, sending(_any)),
        "Submit any registered task",
        "The name and the arguments are checked against what online workers have registered.",
    ),
    (
        SubmitEndpoint("/tasks/batch", Batch, send_batch),
        "Submit many tasks at once",
        "All are checked, then all are sent in order; or none is.",
    ),
)
ROUTES = [endpoint.route() for endpoint, _, _ in _ENDPOINTS]
DIRECT = {endpoint.path: endpoint for endpoint, _, _ in _ENDPOINTS}
DOCUMENT = {
    endpoint.path: {"post": endpoint.document(summary, description)}
    for endpoint, summary, description in _ENDPOINTS
}


def submission(body: Submit, loc: Sequence[str | int], now: float) -> Submission:
    """What a request asks to be sent. Raises BadInput."""
    start = expires = None
    if body.countdown is not None or body.eta is not None:
        start = start_of(body.countdown, body.eta, loc, now)
    if body.expires is not None:
        expires = moment_of(body.expires, (*loc, "expires"), now)
    args, kwargs = "[]", "{}"
    positional: list[Any] = []
    named: dict[str, Any] = {}
    if body.args is not UNSET:
        args, positional = read_json(body.args, list, (*loc, "args"))
    if body.kwargs is not UNSET:
        kwargs, named = read_json(body.kwargs, dict, (*loc, "kwargs"))
    return Submission(
        name=body.name,
        args=args,
        kwargs=kwargs,
        values=Arguments(positional, named),
        queue=body.queue,
        eta=start,
        expires=expires,
        priority=body.priority,
        max_retries=body.max_retries,
        task_id=body.task_id,
    )


def start_of(
    countdown: Delay | None, eta: str | None, loc: Sequence[str | int], now: float
) -> float | None:
    """When a task may start, in seconds since the epoch. Raises BadInput for two answers."""
    if countdown is not None and eta is not None:
        error = FieldError((*loc, "eta"), "give either countdown or eta, not both")
        raise BadInput("There are two times to start at.", (error,))
    return now + countdown if countdown is not None else moment_of(eta, (*loc, "eta"), now)


def moment_of(given: float | str | None, loc: Sequence[str | int], now: float) -> float | None:
    """Seconds from now, or an RFC 3339 time, in seconds since the epoch. Raises BadInput."""
    if given is None:
        return None
    if not isinstance(given, str):
        return now + given
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        allowed = "an RFC 3339 time such as 2026-11-22T18:00:00Z"
        error = FieldError(tuple(loc), f"must be {allowed}; given was {given!a}")
        raise BadInput("That is not a time.", (error,)) from None


def actor_of(scope: Scope) -> Actor:
    """Who asks: nobody is named before there is a login, but the address is known."""
    client = scope.get("client")
    return Actor(name="anyone", address=client[0] if client else None)
