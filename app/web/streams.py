"""The open event streams of this process: woken together, and ended together.

Each awaits a bare future, and one task wakes them all when the feed grows: a timeout and an
event of its own for every reader and message cost as much as the message itself.

An open stream would also keep a server that is told to stop waiting for ever, for uvicorn says
nothing to it. So each stream's coroutine is known here and ended by a cancellation, which it
takes for "say goodbye" when `closing` is true.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.domain.errors import TooMany
from app.feed.tail import Tail

STREAM_LIMIT = 2_000
"""Streams of one process. Each costs about 20 KB; 2,000 busy ones fill a quarter of a core."""
LOOK_SECONDS = 2.5
"""Streams are woken so often at least, to see whether a heartbeat is due."""
STALLED_SECONDS = 20.0
"""A reader whose buffers stay full for so long is gone, or as good as."""


class Stream:
    """One open stream. `sending_since` is set while its reader's buffers are full."""

    __slots__ = ("sending_since", "task")

    def __init__(self, task: "asyncio.Task[object] | None") -> None:
        self.task = task
        self.sending_since: float | None = None

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
        self._waiting: list[asyncio.Future[None]] = []
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

    @contextmanager
    def admit(self) -> Iterator[Stream]:
        """The current coroutine is one stream, cancelled when the server stops.

        Raises TooMany as `check` does.
        """
        self.check()
        stream = Stream(asyncio.current_task())
        self._streams.add(stream)
        try:
            with self.counted():
                yield stream
        finally:
            self._streams.discard(stream)

    def woken(self) -> "asyncio.Future[None]":
        """Done when the feed has grown, or after `LOOK_SECONDS`. Await it at once."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    async def run(self, tail: Tail) -> None:
        """Wakes the streams, and ends those whose readers have stopped reading."""
        position = tail.position
        while True:
            await tail.wait(position, LOOK_SECONDS)
            position = tail.position
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            self._end_stalled(time.monotonic() - self.stalled)
            await asyncio.sleep(0)

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
