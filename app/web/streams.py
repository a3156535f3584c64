"""How many event streams are open, and the end of them all.

An open stream would keep a server that is told to stop waiting for ever: uvicorn says nothing
to it. So each stream's coroutine is known here and woken by a cancellation, which it takes
for "say goodbye" when `closing` is true.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.domain.errors import TooMany

STREAM_LIMIT = 2_000
"""Streams of one process. Each costs about 20 KB; 2,000 busy ones fill a quarter of a core."""


class Streams:
    """The open streams of this process: how many, and whether they have to end."""

    def __init__(self, limit: int = STREAM_LIMIT) -> None:
        self.limit = limit
        self.closing = False
        self.open = 0
        self._tasks: set[asyncio.Task[object]] = set()
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
    def admit(self) -> Iterator[None]:
        """The current coroutine is one stream, cancelled when the server stops.

        Raises TooMany as `check` does.
        """
        self.check()
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            with self.counted():
                yield
        finally:
            if task is not None:
                self._tasks.discard(task)

    def on_close(self, farewell: Callable[[], None]) -> None:
        """Calls `farewell` when the server stops, before it waits for requests to end."""
        self._farewells.append(farewell)

    def close(self) -> None:
        """Ends every stream, each with a word of goodbye. Called in the event loop."""
        self.closing = True
        for farewell in self._farewells:
            farewell()
        for task in self._tasks:
            task.cancel()
