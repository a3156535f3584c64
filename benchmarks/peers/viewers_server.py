"""Umbel's web process without a recorder, and beside it the library that people take for event
streams, reading the same ring; for benchmarks/viewers.py."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Request
from sse_starlette import EventSourceResponse

from app.cli.garbage import look_less_often
from app.feed.tail import Tailed
from app.main import create_app
from app.settings import Settings
from app.web.server import new_loop, serve
from app.web.state import umbel_of
from app.web.stream import HEARTBEAT_SECONDS

app = create_app(Settings(broker_url=os.environ["FEED_URL"], data_dir=Path(os.environ["DATA_DIR"])))


async def changes(request: Request) -> AsyncIterator[list[Tailed]]:
    """What the ring gets, as often as it gets something."""
    tail = umbel_of(request).tail
    position = tail.position
    while True:
        if found := tail.after(position) or []:
            position = found[-1].position
            yield found
        await tail.wait(position, HEARTBEAT_SECONDS)


@app.get("/peers/sse-starlette")
async def with_sse_starlette(request: Request) -> EventSourceResponse:
    """Frames that were encoded once, which sse-starlette passes through."""

    async def frames() -> AsyncIterator[bytes]:
        async for found in changes(request):
            yield b"".join([tailed.frame for tailed in found])

    return EventSourceResponse(frames())


if __name__ == "__main__":
    look_less_often()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(app, "127.0.0.1", int(sys.argv[1])))
