"""What the recorder counts of itself, and says each second, or as soon as it hears or is deaf."""

import asyncio
import os
import socket
import time
from collections import Counter, deque

from app.feed.status import RecorderStatus

RATE_SECONDS = 10
"""Events per second are a mean over so many seconds."""


class Figures:
    """Counts since this recorder began, and whether it hears now.

    `turned` is set when it begins to hear, or ceases to: nobody should have to wait a second for
    that.
    """

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.started_at = time.time()
        self.subscribed = False
        self.subscribed_at = 0.0
        self.turned = asyncio.Event()
        self._deaf_because = "not connected yet"
        self.events = 0
        self.changes = 0
        self.dropped = 0
        self.blind_windows = 0
        self.lag = 0.0
        self.malformed: Counter[str] = Counter()
        self.durable_producers = 0
        self.stock_workers = 0
        self.stream_lag = 0.0
        self.stream_position = ""
        self.producer_dropped = 0
        self.token = 0
        self.lost = 0
        self.healing = False
        self.checked_at: float | None = None
        self.unchecked = 0
        self.unchecked_reason = ""
        self._live: bool | None = None
        self._since = self.started_at
        self._past: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)

    def hears(self) -> None:
        """From now on all events are heard."""
        self.subscribed, self.subscribed_at = True, time.time()
        self.turned.set()

    def deaf(self, reason: str) -> None:
        """Events go unheard."""
        if self.subscribed:
            self.turned.set()
        self.subscribed, self._deaf_because = False, reason

    def status(self, backlog: int, store_failing: str, stream_failing: str = "") -> RecorderStatus:
        """The figures now; to be asked about once a second, for the rate's sake."""
        now = time.time()
        deaf = stream_failing if self.subscribed else self._deaf_because
        live = self.subscribed and not deaf and not store_failing
        if live != self._live:
            self._live, self._since = live, now
        self._past.append((now, self.events))
        return RecorderStatus(
            recorder=self.name,
            at=now,
            started_at=self.started_at,
            live=live,
            since=self._since,
            reason=store_failing or deaf,
            subscribed=self.subscribed,
            store=not store_failing,
            lag=self.lag if backlog else 0.0,
            backlog=backlog,
            events_per_second=self._rate(),
            events=self.events,
            changes=self.changes,
            dropped=self.dropped,
            blind_windows=self.blind_windows,
            malformed=dict(self.malformed),
            durable_producers=self.durable_producers,
            stock_workers=self.stock_workers,
            stream_lag=self.stream_lag,
            stream_position=self.stream_position,
            producer_dropped=self.producer_dropped,
            token=self.token,
            lost=self.lost,
            healing=self.healing,
            checked_at=self.checked_at,
            unchecked=self.unchecked,
            unchecked_reason=self.unchecked_reason,
        )

    def _rate(self) -> float:
        (began, before), (now, after) = self._past[0], self._past[-1]
        return round((after - before) / (now - began), 1) if now > began else 0.0


def news(status: RecorderStatus) -> tuple[object, ...]:
    """What makes a status worth announcing; the rest changes with every heartbeat."""
    return (
        status.live,
        status.reason,
        status.changes,
        status.dropped,
        status.producer_dropped,
        status.blind_windows,
        sum(status.malformed.values()),
    )
