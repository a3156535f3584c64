"""Every route that programs use, put onto the application in one place."""

from fastapi import FastAPI
from starlette.routing import Route

from app.web import docs, follow, metrics, stream
from app.web.api import export, fleet, health, markers, stats, submit, tasks, views
from app.web.openapi import install_openapi

DIRECT = submit.DIRECT
"""Endpoints by path that are fit to be reached past the framework's layers."""
STREAMS = {"/events": stream.EventStream()}
"""Event streams that are."""


def install(app: FastAPI) -> None:
    """Adds the REST API, the event streams, health, metrics and their documentation."""
    app.router.routes.extend(submit.ROUTES)  # first, for most requests of a busy site are these
    app.router.routes.append(Route("/events", STREAMS["/events"], methods=["GET"]))
    # `follow` and `export` before `tasks`, for a task's id may hold a slash and so anything.
    for part in (follow, export, tasks, fleet, stats, markers, views, health, metrics, docs):
        app.include_router(part.router)
    install_openapi(app, {**submit.DOCUMENT, "/events": stream.DOCUMENT})
