"""What happened within a tick, read once for all views: 500 of them look at 5,000 changes a
second, and each asks for a few names only."""

import logging
from collections.abc import Sequence

import msgspec

from app.feed.codec import decode_summary
from app.feed.tailed import Tailed


class _Peek(msgspec.Struct):
    """As much of a task's summary as tells whom it concerns: a tenth of the cost of all of it."""

    id: str
    seq: str
    queue: str | None = None
    worker: str | None = None
    parent_id: str | None = None
    retry_of: str | None = None


log = logging.getLogger(__name__)

_peek = msgspec.json.Decoder(_Peek)


class Digest:
    """Changes by what they concern. `tasks` are the newest change of each task, by its id;
    `relatives` the ids of parents and of what was run again; `newest` the highest `seq`."""

    __slots__ = ("kinds", "newest", "queues", "relatives", "tasks", "workers")

    def __init__(self, changes: Sequence[Tailed]) -> None:
        self.kinds = {tailed.change.kind for tailed in changes}
        self.tasks: dict[str, Tailed] = {}
        self.queues: set[str | None] = set()
        self.workers: set[str | None] = set()
        self.relatives: set[str | None] = set()
        self.newest = 0
        for tailed in changes:
            if tailed.change.kind == "task":
                self._add(tailed)

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def concerns(self, task_id: str) -> bool:
        """The task changed, or one that it caused."""
        return task_id in self.tasks or task_id in self.relatives

    def _add(self, tailed: Tailed) -> None:
        seen = _peek_at(tailed)
        self.tasks[seen.id] = tailed
        self.newest = max(self.newest, int(seen.seq))
        self.queues.add(seen.queue)
        self.workers.add(seen.worker)
        self.relatives.add(seen.parent_id)
        self.relatives.add(seen.retry_of)


def read_digest(changes: Sequence[Tailed] | None) -> Digest | None:
    """The digest of what the feed's tail has; None where there is a gap, or what can't be read:
    another version may announce beside us, and views read anew what they show."""
    if changes is None or any(tailed.change.kind == "reset" for tailed in changes):
        return None
    try:
        return Digest(changes)
    except (ValueError, msgspec.MsgspecError) as error:
        log.warning("A change could not be read: %s", error)
        return None


def _peek_at(tailed: Tailed) -> _Peek:
    try:
        return _peek.decode(tailed.change.data)
    except msgspec.DecodeError:  # escapes of lone surrogates: the codec knows how to read them
        task = decode_summary(tailed.change.data)
        return _Peek(task.id, str(task.seq), task.queue, task.worker, task.parent_id, task.retry_of)
