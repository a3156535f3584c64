"""The store, which blocks, read from coroutines: in a few threads, with a limit on waiting."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from app.domain.errors import StoreUnavailable

THREADS = 4
"""Reads at once. SQLite reads run beside each other, but Python's part of them does not."""
QUEUE_LIMIT = 5_000
"""Reads waiting for a thread: a second or two of work. Beyond it, saying so is kinder."""

P = ParamSpec("P")
T = TypeVar("T")


class Reading:
    """Runs blocking reads in threads of its own: `await reading(function, *arguments)`."""

    def __init__(self, threads: int = THREADS, limit: int = QUEUE_LIMIT) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="umbel-read")
        self._limit = limit
        self.pending = 0

    async def __call__(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `read` answers. Raises what it raises, and StoreUnavailable at the limit."""
        if self.pending >= self._limit:
            raise StoreUnavailable(f"{self.pending} reads are waiting for the store already.")
        self.pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, lambda: read(*args, **kwargs))
        finally:
            self.pending -= 1

    def close(self) -> None:
        """Lets running reads end and starts no other."""
        self._pool.shutdown(wait=True, cancel_futures=True)
