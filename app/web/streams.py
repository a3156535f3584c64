"""The open event streams of this process: woken together, and ended together.

Each awaits a bare future, and one task wakes them all when the feed grows: a timeout and an
event of its own for every reader and message cost as much as the message itself.

An open stream would also keep a server that is told to stop waiting for ever, for uvicorn says
nothing to it. So each stream's coroutine is known here and ended by a cancellation, which it
takes for "say goodbye" when `closing` is true.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive, Send

from app.domain.errors import TooMany
from app.feed.tail import Tail

STREAM_LIMIT = 5_000
"""Streams of one process. Each costs about 20 KB; 5,000 that are sent four frames a second
fill half a core (benchmarks/viewers.py)."""
LOOK_SECONDS = 2.5
"""Streams are woken so often at least, to see whether a heartbeat is due."""
STALLED_SECONDS = 20.0
"""A reader whose buffers stay full for so long is gone, or as good as."""
WOKEN_TOGETHER = 100
"""Streams that write before requests get their turn: some 3 ms."""
LONGEST_PAUSE = 0.25
"""Seconds between two wake-ups, at most, for a process that sends all the time."""


class Waiting:
    """Streams that wait for the same news."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def woken(self) -> "asyncio.Future[None]":
        """Done at the next `wake`. Await it at once."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        return future

    async def wake(self) -> None:
        """Lets all that wait now go on, some at a time; done when the last has had its turn."""
        waiting, self._futures = self._futures, []
        for start in range(0, len(waiting), WOKEN_TOGETHER):
            for future in waiting[start : start + WOKEN_TOGETHER]:
                if not future.done():
                    future.set_result(None)
            await asyncio.sleep(0)


class Stream:
    """One open stream. `sending_since` is set while its reader's buffers are full."""

    __slots__ = ("_send", "sending_since", "task")

    def __init__(self, send: Send) -> None:
        self.task = asyncio.current_task()
        self.sending_since: float | None = None
        self._send = send

    async def write(self, frames: bytes) -> None:
        """Sends them; waits while the reader's buffers are full."""
        if frames:
            self.sending_since = time.monotonic()
            await self._send({"type": "http.response.body", "body": frames, "more_body": True})
            self.sending_since = None

    async def end(self, farewell: bytes) -> None:
        """Says a last word."""
        await self._send({"type": "http.response.body", "body": farewell})

    def cancel(self) -> None:
        """Ends its coroutine."""
        if self.task is not None:
            self.task.cancel()


class Streams:
    """The open streams: how many, their wake-up, and whether they have to end."""

    def __init__(self, limit: int = STREAM_LIMIT, stalled: float = STALLED_SECONDS) -> None:
        self.limit = limit
        self.stalled = stalled
        self.closing = False
        self.open = 0
        self._streams: set[Stream] = set()
        self._waiting = Waiting()
        self._farewells: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raises TooMany where one more stream would be too many, or the server stops."""
        if self.closing:
            raise TooMany("The server is stopping.")
        if self.open >= self.limit:
            raise TooMany(f"{self.limit} event streams are open already, which is the limit.")

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One stream that is woken by a farewell of its own, not by a cancellation."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def serve(
        self,
        receive: Receive,
        send: Send,
        follow: Callable[[Stream], Awaitable[None]],
        farewell: bytes,
    ) -> None:
        """Has `follow` write to a reader whose answer has begun, until that returns, the reader
        leaves or stalls, or the server stops; `farewell` is the last word to one who still reads.
        """
        stream = Stream(send)
        watcher = asyncio.create_task(_watch(receive, stream))
        self._streams.add(stream)
        try:
            with self.counted():
                if not self.closing:
                    await follow(stream)
                await stream.end(farewell)
        except asyncio.CancelledError:
            gone = watcher.done() or stream.sending_since is not None
            if not (self.closing or gone):
                raise
            if stream.task is not None:
                stream.task.uncancel()
            if not gone:
                await stream.end(farewell)
            # Otherwise returning closes the connection.
        finally:
            self._streams.discard(stream)
            watcher.cancel()

    def woken(self) -> "asyncio.Future[None]":
        """Done when the feed has grown, or after `LOOK_SECONDS`. Await it at once."""
        return self._waiting.woken()

    async def run(self, tail: Tail) -> None:
        """Wakes the streams, and ends those whose readers have stopped reading.

        After each round it rests as long as the round took, so that many streams in a storm
        write more at once and requests keep half of the process.
        """
        position = tail.position
        while True:
            await tail.wait(position, LOOK_SECONDS)
            position = tail.position
            began = time.monotonic()
            await self._waiting.wake()
            now = time.monotonic()
            self._end_stalled(now - self.stalled)
            await asyncio.sleep(min(now - began, LONGEST_PAUSE))

    def on_close(self, farewell: Callable[[], None]) -> None:
        """Calls `farewell` when the server stops, before it waits for requests to end."""
        self._farewells.append(farewell)

    def close(self) -> None:
        """Ends every stream, each with a word of goodbye. Called in the event loop."""
        self.closing = True
        for farewell in self._farewells:
            farewell()
        for stream in self._streams:
            stream.cancel()

    def _end_stalled(self, before: float) -> None:
        for stream in self._streams:
            if stream.sending_since is not None and stream.sending_since < before:
                stream.cancel()


async def _watch(receive: Receive, stream: Stream) -> None:
    """Ends the stream when its reader has left, which only `receive` ever tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()
