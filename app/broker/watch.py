"""Tells those who wait when their time is over: one timer for all, for one each costs more than
all else that waiting does."""

import asyncio
import time
from collections.abc import Callable

from app.broker.errand import ANSWERED_WITHIN, Errand

LATE_ANSWER = 0.1
"""Seconds left for an answer that is here already, but not read by a busy process yet."""


class Watch:
    """Looks after errands from when they begin until they end; `refuse` those that it can't wait
    for any longer."""

    def __init__(self, refuse: Callable[[Errand], None]) -> None:
        self._refuse = refuse
        self._open: dict[Errand, None] = {}
        self._late: set[Errand] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, errand: Errand) -> None:
        """It waits from now on."""
        self._open[errand] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ANSWERED_WITHIN, self._look)

    def end(self, errand: Errand) -> None:
        """It waits no more."""
        del self._open[errand]
        self._late.discard(errand)

    def close(self) -> None:
        """End. Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        soonest = ANSWERED_WITHIN
        for errand in self._open:
            left = errand.answer_by - now
            if left <= 0 and errand in self._late:
                self._refuse(errand)
            elif left <= 0:
                self._late.add(errand)
            soonest = min(soonest, max(left, LATE_ANSWER))
        self._timer = None
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(soonest, self._look)
