"""Workers and queues, and the tasks that can be submitted to them."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.feed.fleet import QueueJson, WorkerJson, encode_queue, encode_worker
from app.operations.catalog import Entry
from app.store import queues, workers
from app.web.api.answers import CatalogEntry, CatalogList, QueueList, WorkerList
from app.web.openapi import documented, path_text
from app.web.state import umbel_of

JSON = "application/json"
NAME = [path_text("name", "Its name")]

router = APIRouter()


@router.get(
    "/workers",
    tags=["workers"],
    **documented("List workers", answers={200: WorkerList}, problems=(503,)),
)
async def list_workers(request: Request) -> Response:
    """Every worker, online or not, by name; what it has registered stands in its own answer."""
    umbel = umbel_of(request)
    found = await umbel.reading(workers.list_all, umbel.db)
    body = b'{"workers":[%b]}' % b",".join(map(encode_worker, found))
    return Response(body, media_type=JSON)


@router.get(
    "/workers/{name:path}",
    tags=["workers"],
    **documented("Read a worker", answers={200: WorkerJson}, problems=(404, 503), parameters=NAME),
)
async def show_worker(request: Request) -> Response:
    """All that is known of it, with the tasks that it has registered."""
    umbel, name = umbel_of(request), request.path_params["name"]
    found = await umbel.reading(workers.get, umbel.db, name)
    if found is None:
        raise NotFound(f"No worker {name[:100]!r} has been heard of.")
    return Response(encode_worker(found, tasks=True), media_type=JSON)


@router.get(
    "/queues",
    tags=["queues"],
    **documented("List queues", answers={200: QueueList}, problems=(503,)),
)
async def list_queues(request: Request) -> Response:
    """Every queue as it was last measured, by name."""
    umbel = umbel_of(request)
    found = await umbel.reading(queues.list_all, umbel.db)
    body = b'{"queues":[%b]}' % b",".join(map(encode_queue, found))
    return Response(body, media_type=JSON)


@router.get(
    "/queues/{name:path}",
    tags=["queues"],
    **documented("Read a queue", answers={200: QueueJson}, problems=(404, 503), parameters=NAME),
)
async def show_queue(request: Request) -> Response:
    """Its depth by priority, what is handed out, and how long the oldest message has waited."""
    umbel, name = umbel_of(request), request.path_params["name"]
    found = await umbel.reading(queues.get, umbel.db, name)
    if found is None:
        raise NotFound(f"No queue {name[:100]!r} has been heard of.")
    return Response(encode_queue(found), media_type=JSON)


@router.get(
    "/catalog",
    tags=["workers"],
    **documented("List registered tasks", answers={200: CatalogList}, problems=(503,)),
)
async def list_catalog(request: Request) -> Response:
    """Every task that an online worker has registered, with a JSON Schema of its arguments."""
    catalog = await umbel_of(request).operations.catalog()
    found = [_entry(entry) for entry in catalog.entries.values()]
    return Response(msgspec.json.encode(CatalogList(found)), media_type=JSON)


def _entry(entry: Entry) -> CatalogEntry:
    told: list[dict[str, Any]] = [msgspec.json.decode(schema) for schema in entry.schemas]
    return CatalogEntry(entry.name, entry.doc, told[0] if told else None, told, list(entry.workers))
