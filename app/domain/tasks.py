"""A task as Umbel believes it to be, and the states that it can be in."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from app.domain.events import Json, Mark


class TaskState(StrEnum):
    """Celery's states, and LOST: its worker died, or the broker no longer has it."""

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    REJECTED = "REJECTED"
    LOST = "LOST"

    ended: bool
    """Nothing more is expected, though a redelivery can still wake it up."""


ENDED = frozenset(
    {TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED, TaskState.REJECTED, TaskState.LOST}
)
for _state in TaskState:
    _state.ended = _state in ENDED
RUNNING = frozenset({TaskState.STARTED, TaskState.PROGRESS})
WAITING = frozenset({TaskState.PENDING, TaskState.RECEIVED, TaskState.RETRY})


class Transition(NamedTuple):
    """One step of a task's story. `attempt` counts from 0; `note` says what else is known.

    A tuple, because every event makes one, and a frozen dataclass takes twice as long.
    """

    state: TaskState
    at: float
    worker: str | None = None
    attempt: int = 0
    note: str | None = None


@dataclass(slots=True, kw_only=True)
class Task:
    """All that is believed of one task. Only `app.domain.reduce` changes one.

    It is mutable because a storm changes each several times between two commits, and copying
    forty fields for every event would cost more than all the rest of the recorder.

    `seq` is the task's place in the list: microseconds since the epoch of the first moment
    known of it, shifted left by `SEQ_SHIFT` bits that keep tasks of one microsecond apart.
    It never changes. Times are seconds since the epoch; None means that it isn't known.
    `redelivery_at`: whoever had it is gone, and the broker hands its message out again then.
    """

    id: str
    seq: int = 0
    name: str | None = None
    state: TaskState = TaskState.PENDING
    custom_state: str | None = None
    args: Json | None = None
    kwargs: Json | None = None
    result: Json | None = None
    args_repr: str | None = None
    kwargs_repr: str | None = None
    result_repr: str | None = None
    exception: str | None = None
    traceback: str | None = None
    queue: str | None = None
    worker: str | None = None
    priority: int | None = None
    retries: int = 0
    eta: float | None = None
    expires: float | None = None
    sent_at: float | None = None
    received_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    runtime: float | None = None
    progress_current: float | None = None
    progress_total: float | None = None
    progress_message: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    chord_id: str | None = None
    retry_of: str | None = None
    redelivery_at: float | None = None
    transitions: list[Transition] = field(default_factory=list)

    @property
    def mark(self) -> Mark:
        """How far it has come, to tell later whether it has moved. No clock is compared."""
        steps = self.transitions
        return len(steps), self.state, steps[-1].at if steps else 0.0

    @property
    def whole(self) -> bool:
        """Its story is known from beginning to end."""
        if not self.state.ended or self.state is TaskState.LOST or self.finished_at is None:
            return False
        known = self.received_at is not None or self.state is TaskState.REVOKED
        ran = self.state in (TaskState.SUCCESS, TaskState.FAILURE)
        return known and (self.started_at is not None or not ran)

    @property
    def wait(self) -> float | None:
        """Seconds that this attempt waited to be run; never below 0, clocks being what they are.

        Counted from when it was sent (a retry: received), or from its ETA where that is later:
        until then nobody was to run it.
        """
        since = self.received_at if self.retries or self.sent_at is None else self.sent_at
        if since is None or self.started_at is None:
            return None
        return max(0.0, self.started_at - max(since, self.eta or since))

    @property
    def seen_at(self) -> float:
        """The first moment known of it, as `seq` has it."""
        return seq_time(self.seq)

    def copy(self) -> "Task":
        """A snapshot that further events do not change."""
        return replace(self, transitions=list(self.transitions))


SEQ_SHIFT = 10
"""1,024 tasks of one microsecond keep distinct places; a collision moves to the next one."""


def seq_of(at: float, spread: int = 0) -> int:
    """The place in the list of a task first known at `at`; `spread` picks one of its 1,024."""
    return (int(at * 1_000_000) << SEQ_SHIFT) | (spread & ((1 << SEQ_SHIFT) - 1))


def seq_time(seq: int) -> float:
    """The moment that a place in the list stands for."""
    return (seq >> SEQ_SHIFT) / 1_000_000
