"""A worker as Umbel believes it to be."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.events import Json


class WorkerState(StrEnum):
    """`OFFLINE` said goodbye; `LOST` fell silent and answered no ping."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    LOST = "LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """All that is believed of one worker. None: it has not said, or was not asked yet.

    `heard_at` is by our clock, `skew` is theirs minus ours in seconds. `catalog` is as in
    `WorkerReported`; `started_at` is when its process began, by our clock.
    """

    name: str
    state: WorkerState = WorkerState.ONLINE
    since: float = 0.0
    heard_at: float = 0.0
    skew: float | None = None
    pid: int | None = None
    started_at: float | None = None
    active: int | None = None
    processed: int | None = None
    loadavg: tuple[float, ...] = ()
    frequency: float | None = None
    software: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    prefetch: int | None = None
    queues: tuple[str, ...] | None = None
    catalog: tuple[tuple[str, Json | None], ...] | None = None

    @property
    def host(self) -> str:
        """The machine that it runs on, as its name has it: what stands behind the first `@`."""
        return self.name.partition("@")[2] or self.name

    @property
    def is_busy(self) -> bool:
        """Every slot that it has is taken, as far as it says."""
        return bool(self.concurrency) and (self.active or 0) >= (self.concurrency or 0)
