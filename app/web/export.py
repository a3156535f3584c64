"""A list of tasks as a file: CSV for spreadsheets, JSON lines for programs.

It is read page by page, each in a transaction of its own, and a page is read when the one before
has been taken: a file of any length holds neither memory nor a moment of the store.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

from app.domain.errors import Unavailable
from app.store import pages
from app.store.database import Database
from app.web.lines import File, Wanted
from app.web.reading import Reading

PAGE = pages.MAX_PAGE
"""Tasks that are read at once: some 20 ms, in which the other readers of the store have theirs."""
REST = 1.0
"""Of the time that a page takes to be read, as long as that is waited before the next one."""
PATIENCE = 3
"""Times that a page is asked for where the store does not answer."""


async def stream(
    db: Database, reading: Reading, wanted: Wanted, closing: Callable[[], bool] = lambda: False
) -> AsyncGenerator[bytes, None]:
    """The file, a page at a time. Its last line says so where it was cut at the limit.

    Raises Unavailable where the store stops answering, or the server is `closing`: then the
    connection breaks, so that nobody takes a part for the whole.
    """
    file = File(wanted)
    yield file.head()
    left, cursor = wanted.limit, wanted.cursor
    while True:
        if closing():
            raise Unavailable("The server is stopping.")
        began = time.monotonic()
        data, count, cursor = await _patiently(reading, file.page, db, min(PAGE, left), cursor)
        if data:
            yield data
        left -= count
        if cursor is None:
            return
        if left <= 0:
            yield file.cut(wanted.limit, cursor)
            return
        await asyncio.sleep((time.monotonic() - began) * REST)


async def _patiently(
    reading: Reading,
    read: Callable[[Database, int, str | None], tuple[bytes, int, str | None]],
    db: Database,
    limit: int,
    cursor: str | None,
) -> tuple[bytes, int, str | None]:
    for _ in range(PATIENCE - 1):
        try:
            return await reading(read, db, limit, cursor)
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)
    return await reading(read, db, limit, cursor)
