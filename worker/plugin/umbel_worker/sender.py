"""The background thread that brings events to a Redis.

With gevent or eventlet `threading` is theirs, so it is a greenlet there. It is started with the
first event of a process, and after a fork anew: a child has a connection of its own.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence

from umbel_worker.outbox import Lane

PACE = 0.02
"""Seconds between two writes: what happens meanwhile goes out together. The first event after a
pause is not held back."""


class Sender:
    """Calls `write` while the lanes have something; `write` never raises."""

    def __init__(self, lanes: Sequence[Lane], write: Callable[[], None]) -> None:
        self._lanes = lanes
        self._write = write
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._idle = True
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There is something to send. Never waits; may be called from a signal handler."""
        if self._idle:
            self._idle = False
            if self._thread is None:
                self._start()
            self._wake.put(None)

    def flush(self, seconds: float) -> bool:
        """Waits until all is sent, so many seconds at most; whether it is."""
        deadline = time.monotonic() + seconds
        while self._any() and time.monotonic() < deadline:
            for lane in self._lanes:
                lane.hurry()
            if self._thread is None or not self._thread.is_alive():
                self._try()
            time.sleep(PACE)
        return not self._any()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="umbel-events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter ends: `flush` sends what there is
            self._thread = None

    def _run(self) -> None:
        while True:
            self._wake.get()
            self._idle = True  # before looking: who comes later wakes it again
            while self._any():
                if any(lane.due() for lane in self._lanes):
                    self._try()
                if not any(lane.full() and lane.due() for lane in self._lanes):
                    time.sleep(PACE)

    def _any(self) -> bool:
        return any(len(lane) for lane in self._lanes)

    def _try(self) -> None:
        if self._writing.acquire(blocking=False):
            try:
                self._write()
            finally:
                self._writing.release()
