"""A change of the feed in the memory of a web process."""

from app.domain.tasks import Task
from app.feed.changes import Change, frame_of
from app.feed.codec import decode_summary

FRAME_BYTES = 48
"""Of a frame, beside its data: its id, its kind and the names of the lines."""


class Tailed:
    """A change with what all its readers share: its frame, and its task, decoded once."""

    __slots__ = ("_frame", "_task", "change", "position")

    def __init__(self, position: int, change: Change) -> None:
        self.position = position
        self.change = change
        self._frame: bytes | None = None
        self._task: Task | None = None

    @property
    def frame(self) -> bytes:
        """The change as a Server-Sent Event: made for the first who reads it, kept for all."""
        if self._frame is None:
            self._frame = frame_of(self.change)
        return self._frame

    @property
    def size(self) -> int:
        """Bytes of its frame, whether it is made or not: they are as many, but for the kind."""
        return len(self.change.data) + FRAME_BYTES

    @property
    def task(self) -> Task | None:
        """The task of a task's change as its summary has it, shared: not to be changed."""
        if self._task is None and self.change.kind == "task":
            self._task = decode_summary(self.change.data)
        return self._task
