"""One feed behind three ways to write an event stream, for benchmarks/sse_fanout.py.

`/plain` is Umbel's own endpoint; the others read the same ring and send the same frames.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

from fastapi import FastAPI, Request
from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route

from app.feed.tail import Tail
from app.web.health import Part
from app.web.security import Gate
from app.web.server import new_loop, serve
from app.web.stream import HEARTBEAT_SECONDS, EventStream
from app.web.streams import Streams

tail = Tail(os.environ["FEED_URL"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    streams = Streams()
    tasks = [asyncio.create_task(work) for work in (tail.run(), streams.run(tail))]
    health = SimpleNamespace(recorder=Part(True, time.time()))
    app.state.umbel = SimpleNamespace(tail=tail, streams=streams, health=health)
    yield
    for task in tasks:
        task.cancel()


app = FastAPI(lifespan=lifespan)
app.add_middleware(Gate, names=["*"])
app.router.routes.append(Route("/plain", EventStream(), methods=["GET"]))


async def frames() -> AsyncIterator[bytes]:
    """What the ring gets, encoded once by the tail."""
    position = tail.position
    while True:
        changes = tail.after(position) or []
        if changes:
            position = changes[-1].position
            yield b"".join([tailed.frame for tailed in changes])
        await tail.wait(position, HEARTBEAT_SECONDS)


@app.get("/sse-starlette")
async def with_sse_starlette(request: Request) -> EventSourceResponse:
    """sse-starlette, which passes encoded bytes through."""
    return EventSourceResponse(frames())


@app.get("/streaming-response")
async def with_streaming_response(request: Request) -> StreamingResponse:
    """Starlette's own streaming."""
    return StreamingResponse(frames(), media_type="text/event-stream")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(app, "127.0.0.1", int(sys.argv[1])))
