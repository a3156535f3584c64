"""An event loop in a thread of its own: for subscribers and proxies, beside a plain script."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for what is asked of the loop and should take milliseconds."""
ENDING_SECONDS = 8.0
"""For what ends by itself; then it is cancelled."""


class Background:
    """Runs coroutines until it is stopped, which ends them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._running: list[Future[Any]] = []

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What it answers. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def start(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Runs beside everything else, until it ends or all is stopped."""
        running = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._running.append(running)
        return running

    def stop(self) -> None:
        """Ends what runs; by then it should be about to end. Raises what one has failed of."""
        self.call(_settle())
        self.call(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        for each in self._running:
            if not each.cancelled():
                each.result(0)


async def _settle() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=ENDING_SECONDS)
    # Again and again: until Python 3.12 `asyncio.wait_for` can swallow a cancellation.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=0.2)
    await asyncio.sleep(0.05)  # transports that were closed meanwhile end with the next rounds
