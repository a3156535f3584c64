"""`GET /tasks/export`: a list of tasks as a file."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Send

from app.domain.columns import Column, Columns, parse_columns
from app.domain.errors import BadInput, FieldError, TooMany
from app.domain.filters import MAX_VALUES, TaskFilter, parse_filter, parse_sort
from app.store import tasks as stored
from app.web.api.parameters import FILTER_PARAMETERS, SORT
from app.web.export import stream
from app.web.lines import EXPORT_LIMIT, Format, Wanted, lines
from app.web.openapi import documented, query
from app.web.signatures import placed
from app.web.state import Umbel, umbel_of

AT_ONCE = 4
"""Files that one process makes at a time: each keeps a thread of the store half busy."""
STALLED_SECONDS = 60.0
"""A reader that takes nothing for so long is gone; people choose where to save in less."""

COLUMNS = query(
    "columns",
    "Only the fields of these columns; all without it",
    {"enum": list(Column)},
    repeatable=True,
)
IDS = query(
    "id",
    f"Only these tasks, at most {MAX_VALUES}, instead of filters",
    {"type": "string"},
    repeatable=True,
)

router = APIRouter(tags=["tasks"])
_open = asyncio.Semaphore(AT_ONCE)


class Download(StreamingResponse):
    """A file that is sent as it is made; one that nobody takes is given up."""

    async def stream_response(self, send: Send) -> None:
        """Sends all of it. Raises TimeoutError where the reader has stalled."""

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        async with _open:
            await super().stream_response(patiently)


@router.get(
    "/tasks/export",
    **documented(
        "Export tasks",
        answers={200: "text/csv"},
        problems=(422, 503),
        parameters=[*FILTER_PARAMETERS, SORT, COLUMNS, IDS],
        headers={"Content-Disposition": "The file's name, with the time"},
    ),
)
async def export_tasks(
    request: Request,
    format: Annotated[Format, Query(description="CSV or JSON lines")] = Format.CSV,
    limit: Annotated[
        int, Query(ge=1, le=EXPORT_LIMIT, description="Tasks at most; the last line says so")
    ] = EXPORT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=200, description="Where the file before was cut")
    ] = None,
    bom: Annotated[bool, Query(description="Begin with a mark for old spreadsheets")] = False,
) -> Response:
    """All tasks that the filters match, in order, as CSV or JSON lines (`application/x-ndjson`)
    with the fields of lists. It is sent as it is read; a file that was cut says so at its end."""
    umbel, now = umbel_of(request), time.time()
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    wanted = Wanted(
        filter=await placed(umbel, parse_filter(pairs, now)),
        sort=parse_sort(request.query_params.get("sort")),
        cursor=cursor or None,
        limit=limit,
        format=format,
        columns=_columns(pairs),
        bom=bom,
    )
    ids = [value for key, value in pairs if key == "id" and value]
    name = time.strftime(f"umbel-tasks-%Y%m%dT%H%M%SZ.{format.value}", time.gmtime(now))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if ids:
        body = await _of_ids(umbel, wanted, ids)
        return Response(body, headers=headers, media_type=format.media_type)
    if request.scope.get("head"):
        return Response(headers=headers, media_type=format.media_type)
    if _open.locked():
        raise TooMany(f"{AT_ONCE} files are being made already: try again in a moment.")
    return Download(await _begun(umbel, wanted), headers=headers, media_type=format.media_type)


async def _begun(umbel: Umbel, wanted: Wanted) -> AsyncIterator[bytes]:
    """The file, with its first page read: what is wrong so far is still told as a problem."""
    parts = stream(umbel.db, umbel.reading, wanted, lambda: umbel.streams.closing)
    first = await anext(parts) + await anext(parts, b"")

    async def whole() -> AsyncIterator[bytes]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    return whole()


async def _of_ids(umbel: Umbel, wanted: Wanted, ids: list[str]) -> bytes:
    if len(ids) > MAX_VALUES:
        wrong = FieldError(("query", "id"), f"{len(ids)} values; at most {MAX_VALUES}")
        raise BadInput("That are too many ids: use filters.", (wrong,))
    if wanted.filter != TaskFilter():
        wrong = FieldError(("query", "id"), "can't be combined with filters")
        raise BadInput("Ask for ids or for filters, not for both.", (wrong,))
    found = await umbel.reading(stored.get_many, umbel.db, ids)
    newest_first = sorted(found.values(), key=lambda task: task.seq, reverse=True)
    return lines(newest_first, wanted)


def _columns(pairs: list[tuple[str, str]]) -> Columns | None:
    given = [value for key, value in pairs if key == "columns" and value]
    return parse_columns(given) if given else None
