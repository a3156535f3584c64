"""A queue as Umbel last measured it."""

from dataclasses import dataclass

STALE = 30.0
"""Seconds without a measurement after which a depth is no longer shown as the present one:
the recorder measures every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Messages waiting by priority step, and handed out but not yet acknowledged.

    `oldest_sent_at` is when the message that waits longest was sent; None where nothing
    waits or where that isn't known: a Celery message does not carry it.
    `consumers` are the names of the online workers that read this queue. `orphans` are messages
    handed out to a worker that is gone, of which the first is handed out again at
    `redelivery_at`, by the next sweep of any worker then; None: not known.
    """

    name: str
    measured_at: float
    depths: tuple[tuple[int, int], ...] = ()
    unacked: int | None = None
    oldest_id: str | None = None
    oldest_sent_at: float | None = None
    consumers: tuple[str, ...] = ()
    orphans: int | None = None
    redelivery_at: float | None = None

    @property
    def oldest_age(self) -> float | None:
        """Seconds that the message which waits longest had waited when it was measured."""
        if self.oldest_sent_at is None or not self.waiting:
            return None
        return max(0.0, self.measured_at - self.oldest_sent_at)

    @property
    def waiting(self) -> int:
        """Messages that no worker has taken, of every priority."""
        return sum(depth for _, depth in self.depths)
