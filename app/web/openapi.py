"""The OpenAPI document: routes say what they take and give by the same classes that decode it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from app.web.errors import PROBLEM, Problem

REF = "#/components/schemas/{name}"
STREAM = "text/event-stream"

Documented = dict[str, Any]

_described: dict[str, type[object]] = {}
"""Classes that routes mention, by name: the document's components."""


def documented(
    summary: str,
    *,
    answers: Mapping[int, type[object] | str | None],
    problems: Sequence[int] = (),
    body: type[object] | None = None,
    body_required: bool = True,
    parameters: Sequence[Mapping[str, object]] = (),
    headers: Mapping[str, str] | None = None,
) -> Documented:
    """What a route decorator needs besides the path.

    `answers` maps a status to the class of its JSON, to a media type of its own, or to None
    for no body; the first is the usual one. `headers` (name to meaning) go with the first.
    """
    first = next(iter(answers))
    responses: dict[int | str, Any] = {
        status: _answer(status, kind, headers if status == first else None)
        for status, kind in answers.items()
    }
    usual = (400, 500) if body is None else (400, 403, 500)
    for status in (*problems, *usual):
        responses.setdefault(status, _answer(status, Problem, None))
    extra: Documented = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        extra["requestBody"] = {
            "required": body_required,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    return {
        "summary": summary,
        "status_code": first,
        "response_class": Response,
        "responses": responses,
        "openapi_extra": extra,
    }


def operation(tag: str, description: str, told: Documented) -> Documented:
    """`documented` for a plain ASGI endpoint, which FastAPI knows nothing of."""
    return {
        "tags": [tag],
        "summary": told["summary"],
        "description": description,
        "operationId": told["summary"].lower().replace(",", "").replace(" ", "_"),
        "responses": {str(status): answer for status, answer in told["responses"].items()},
        **told["openapi_extra"],
    }


def refusals(*statuses: int) -> Documented:
    """The refusals of a plain ASGI endpoint."""
    return {str(status): _answer(status, Problem, None) for status in statuses}


def query(
    name: str, meaning: str, schema: Mapping[str, object], *, repeatable: bool = False
) -> Documented:
    """A query parameter; a repeatable one may be given several times, any of which matches."""
    kind = {"type": "array", "items": schema} if repeatable else schema
    return {"name": name, "in": "query", "required": False, "description": meaning, "schema": kind}


def header(name: str, meaning: str, schema: Mapping[str, object]) -> Documented:
    """A request header."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": meaning,
        "schema": schema,
    }


def path_text(name: str, meaning: str) -> Documented:
    """A part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": meaning,
        "schema": {"type": "string"},
    }


def install_openapi(app: FastAPI, plain: Mapping[str, Documented]) -> None:
    """Serves the whole document; `plain` are the paths of plain ASGI endpoints."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for path, operations in plain.items():
                found["paths"].setdefault(path, {}).update(operations)
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(_components())
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _answer(
    status: int, kind: type[object] | str | None, headers: Mapping[str, str] | None
) -> Documented:
    found: Documented = {"description": HTTPStatus(status).phrase}
    if isinstance(kind, str):
        found["content"] = {kind: {"schema": {"type": "string"}}}
    elif kind is not None:
        media = PROBLEM if status >= 400 else "application/json"
        found["content"] = {media: {"schema": _ref(kind)}}
    if headers:
        found["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in headers.items()
        }
    return found


def _ref(kind: type[object]) -> Documented:
    _described[kind.__name__] = kind
    return {"$ref": REF.format(name=kind.__name__)}


def _components() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(_described.values(), ref_template=REF)
    return found
