"""What an error means over HTTP, said once: problem documents of RFC 9457.

A status is found by the error's class or the nearest of its parents, so a new error needs no
line here unless it means something new.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from math import ceil
from typing import cast

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.domain.errors import (
    BadInput,
    Conflict,
    FieldError,
    NotFound,
    Refused,
    TooLarge,
    TooMany,
    UmbelError,
    Unavailable,
)

PROBLEM = "application/problem+json"
SHOWN_ERRORS = 50
"""Field errors in one answer: enough to mend a form, short enough for a body of a million."""

STATUS: Mapping[type[Exception], int] = {
    UmbelError: 500,
    BadInput: 422,
    TooLarge: 413,
    NotFound: 404,
    Conflict: 409,
    Refused: 403,
    TooMany: 503,
    Unavailable: 503,
}

PageMaker = Callable[[Request, "Problem"], Awaitable[Response]]
"""Makes the page that a browser is shown instead of a problem document."""

log = logging.getLogger(__name__)


class FieldProblem(msgspec.Struct, frozen=True):
    """One thing wrong with one field."""

    loc: list[str | int]
    msg: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal or a failure (RFC 9457). `errors` names the fields where a request was wrong."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] = []


def problem_response(
    path: str,
    status: int,
    detail: str,
    *,
    title: str | None = None,
    errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem document of one refusal at `path`."""
    return render(problem(path, status, detail, title=title, errors=errors), headers)


def problem(
    path: str,
    status: int,
    detail: str,
    *,
    title: str | None = None,
    errors: tuple[FieldError, ...] = (),
) -> Problem:
    """The same as a value."""
    return Problem(
        type="about:blank",
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=path,
        errors=[FieldProblem(list(error.loc), error.msg) for error in errors[:SHOWN_ERRORS]],
    )


def render(found: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The bytes of a problem document."""
    body = msgspec.json.encode(found)
    return Response(body, found.status, dict(headers or {}), media_type=PROBLEM)


def status_of(error: Exception) -> int:
    """The status of an error of ours, by the nearest class that has one."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def describe(path: str, error: UmbelError) -> tuple[Problem, dict[str, str]]:
    """An error of ours as a problem, with the headers that go with it."""
    errors = error.errors if isinstance(error, BadInput) else ()
    found = problem(path, status_of(error), str(error), title=error.title, errors=errors)
    headers = {}
    if isinstance(error, Unavailable | TooMany):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    return found, headers


def refusal(path: str, error: UmbelError) -> Response:
    """The answer to a program whose request met an error of ours."""
    return render(*describe(path, error))


def mistake(path: str, error: Exception) -> Problem:
    """What is told of an error that nobody foresaw; the log is told the rest."""
    log.error("Unforeseen error at %s", path, exc_info=error)
    detail = "Umbel made a mistake; its log says more. Nothing that you sent caused it alone."
    return problem(path, 500, detail)


def install_errors(app: FastAPI, page: PageMaker | None = None) -> None:
    """Every error becomes a problem document, or what `page` makes where a browser asks."""

    async def answer(request: Request, found: Problem, headers: Mapping[str, str]) -> Response:
        if page is not None and _wants_page(request):
            made = await page(request, found)
            made.headers.update(headers)
            return made
        return render(found, headers)

    async def ours(request: Request, error: Exception) -> Response:
        found, headers = describe(request.url.path, cast(UmbelError, error))
        return await answer(request, found, headers)

    async def of_http(request: Request, error: Exception) -> Response:
        refusal = cast(HTTPException, error)
        found = problem(request.url.path, refusal.status_code, _sentence(request, refusal))
        return await answer(request, found, refusal.headers or {})

    async def of_parameters(request: Request, error: Exception) -> Response:
        invalid = cast(RequestValidationError, error)
        errors = tuple(FieldError(tuple(one["loc"]), _allowed(one)) for one in invalid.errors())
        found = problem(
            request.url.path,
            422,
            "Some of the parameters are not understood.",
            title=BadInput.title,
            errors=errors,
        )
        return await answer(request, found, {})

    async def unforeseen(request: Request, error: Exception) -> Response:
        return await answer(request, mistake(request.url.path, error), {})

    app.add_exception_handler(UmbelError, ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_parameters)
    app.add_exception_handler(Exception, unforeseen)


def _wants_page(request: Request) -> bool:
    path = request.url.path
    is_page = path == "/" or path.startswith("/ui")
    return is_page and "text/html" in request.headers.get("accept", "")


def _sentence(request: Request, refusal: HTTPException) -> str:
    if refusal.status_code == 404:
        return f"There is nothing at {request.url.path}."
    if refusal.status_code == 405:
        allowed = (refusal.headers or {}).get("Allow", "")
        return f"{request.method} is not possible here. Allowed: {allowed or 'nothing'}."
    return str(refusal.detail)


def _allowed(error: Mapping[str, object]) -> str:
    given = repr(error.get("input"))
    shown = given if len(given) <= 60 else given[:59] + "…"
    return f"{error['msg']}; given was {shown}"
