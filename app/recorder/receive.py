"""Step 1: what is heard waits here, bounded, until the pipeline takes it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from app.broker.durable import read_mark
from app.broker.subscription import Heard, Subscription
from app.recorder.producers import Producers

BACKLOG_LIMIT = 200_000
"""Messages; half a minute of the heaviest storm that the store keeps up with."""
BACKLOG_BYTES = 128 * 1024 * 1024
"""Of payloads: what the recorder may take of the machine's memory when the store stalls, below
300 MiB with all else."""


class Dropped(NamedTuple):
    """Messages that were heard and had to be let go, with when the first and the last came."""

    messages: int
    first_at: float
    last_at: float


class Backlog:
    """Messages heard and not yet taken. Over its limits the oldest are dropped and counted.

    `filled` wakes the pipeline, which clears it; `heard_at` is when the last message came.
    """

    def __init__(self, limit: int = BACKLOG_LIMIT, limit_bytes: int = BACKLOG_BYTES) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._waiting: deque[Heard] = deque()
        self._bytes = 0
        self._dropped: Dropped | None = None
        self.filled = asyncio.Event()
        self.heard_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest_at(self) -> float | None:
        """When the message that waits longest was heard."""
        return self._waiting[0].heard_at if self._waiting else None

    def add(self, heard: Sequence[Heard]) -> None:
        """Appends what was heard, in order."""
        if heard:
            self.heard_at = heard[-1].heard_at
        self._waiting.extend(heard)
        self._bytes += sum(len(message.payload) for message in heard)
        while self._waiting and (
            len(self._waiting) > self._limit or self._bytes > self._limit_bytes
        ):
            self._drop_oldest()
        self.filled.set()

    def take(self, limit: int) -> list[Heard]:
        """The oldest messages, at most `limit`."""
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._bytes -= sum(len(message.payload) for message in taken)
        return taken

    def take_dropped(self) -> Dropped | None:
        """What was dropped since the last call; None if nothing was."""
        dropped, self._dropped = self._dropped, None
        return dropped

    def _drop_oldest(self) -> None:
        oldest = self._waiting.popleft()
        self._bytes -= len(oldest.payload)
        at = oldest.heard_at
        before = self._dropped or Dropped(0, at, at)
        self._dropped = Dropped(before.messages + 1, before.first_at, at)


async def receive(subscription: Subscription, backlog: Backlog, producers: Producers) -> None:
    """Only reads and appends, so that Redis never throws us off for being slow.

    What the stream brings as well is left out. Ends by raising BrokerUnavailable when the
    subscription ends.
    """
    while True:
        heard = await subscription.read()
        backlog.heard_at = heard[-1].heard_at
        if producers.skip_some:
            heard = [message for message in heard if not _is_streamed(message, producers)]
        if heard:
            backlog.add(heard)


def _is_streamed(message: Heard, producers: Producers) -> bool:
    mark = read_mark(message.payload)
    return mark is not None and producers.skips(mark)
