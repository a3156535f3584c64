"""Tasks to send together, and the time that there is for it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.broker.message import Written
from app.domain.errors import UmbelError

SENT_WITHIN = 1.0
"""Seconds after which Redis may no longer carry out what was asked."""
ANSWERED_WITHIN = 1.4
"""Seconds after which we say that it was not sent: later than `SENT_WITHIN` by more than two
clocks drift apart between two looks at Redis's; of the 2 s that a person is promised, the rest
is for a busy machine to read the request and to answer it."""
LARGE = 256 * 1024
"""Bytes from which an errand goes alone, after a look whether Redis answers at all, and is given
time by its size: so a frozen Redis is noticed just as soon, and a busy one is not taken for it.
It is also about where a transaction becomes cheaper for Redis than a script."""
PIECE = 100
"""Tasks written, and sent by one command, at a time: some 100 KB, packed where the memory of the
ones before was, which takes half the time of packing all at once; and some 1 ms."""
SLOWEST = 4 * 1024 * 1024
"""Bytes a second that a busy Redis takes in and carries out at the least."""


class Outcome(NamedTuple):
    """What the script says happened: `sent`, `replayed`, `conflict` or `not a list`."""

    kind: str
    more: str


@dataclass(eq=False, slots=True)
class Errand:
    """What one caller has to send, all of it or none: `written` so far, hundreds of tasks of
    which the `rest` are written while the first are on the wire; `size` bytes or so. `queues` are
    the lists that a large one goes to.

    `key` and `fingerprint` are digests of an idempotency key and of its request, or empty.
    An errand that is `alone` shares no script with others.
    """

    written: list[Written]
    rest: Iterator[list[Written]]
    queues: Sequence[str]
    size: int
    seed: str
    key: str = ""
    fingerprint: str = ""
    alone: bool = False
    started: float = field(default_factory=time.monotonic)
    asked: float | None = None
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def __post_init__(self) -> None:
        self.alone = self.alone or self.key != ""

    def pieces(self) -> Iterator[list[Written]]:
        """All of it, piece by piece: the same each time, and each task written once."""
        for start in range(0, len(self.written), PIECE):
            yield self.written[start : start + PIECE]
        for piece in self.rest:
            self.written += piece
            yield piece

    @property
    def large(self) -> bool:
        """It goes alone, as a transaction."""
        return self.size > LARGE

    @property
    def deadline(self) -> float:
        """When Redis may no longer carry it out, by our monotonic clock."""
        if self.asked is not None and self.large:
            return self.asked + SENT_WITHIN + self.size / SLOWEST
        return self.started + SENT_WITHIN

    @property
    def answer_by(self) -> float:
        """When we say that it was not sent, by our monotonic clock."""
        return self.deadline + ANSWERED_WITHIN - SENT_WITHIN

    def settle(self, outcome: Outcome) -> None:
        """Say what happened, unless it has been said already."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def refuse(self, error: UmbelError) -> None:
        """Say that it was not done, unless it has been said already how it went."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
