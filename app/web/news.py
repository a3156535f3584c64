"""News of single tasks, for whoever waits for one: one reader of the feed for all of them.

Thousands may wait for a task each; looking through every change once per waiting request
would cost their product. Here each change is looked at once, and only while somebody waits.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from app.domain.tasks import TaskState
from app.feed.codec import decode_summary
from app.feed.tail import Tail
from app.feed.tailed import Tailed

LOOK_SECONDS = 30.0
"""Longest sleep of the reader; a change wakes it anyway."""


class _Peek(msgspec.Struct):
    """As much of a summary as tells whom it concerns: a tenth of the cost of all of it."""

    id: str
    state: TaskState


_peek = msgspec.json.Decoder(_Peek)


class Watch:
    """What is new of one task: its newest change, or `gap` when some may have been missed."""

    def __init__(self) -> None:
        self.newest: Tailed | None = None
        self.ended = False
        self.gap = False
        self._woken = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Returns when there is news, or after that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    def take(self) -> Tailed | None:
        """The newest change since the last call, if there is one."""
        newest, self.newest = self.newest, None
        return newest

    def tell(self, tailed: Tailed, ended: bool) -> None:
        """Something changed."""
        self.newest, self.ended = tailed, ended
        self._woken.set()

    def look_again(self) -> None:
        """Changes may have been missed, or the server stops: read what is true now."""
        self.gap = True
        self._woken.set()


class News:
    """Tells each watch of its task's changes. `run` does the reading."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._watches: dict[str, set[Watch]] = {}

    @contextmanager
    def watch(self, task_id: str) -> Iterator[Watch]:
        """Every change of the task from now on. Read the task's state after entering."""
        watch = Watch()
        self._watches.setdefault(task_id, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[task_id]
            watches.discard(watch)
            if not watches:
                del self._watches[task_id]

    def wake_all(self) -> None:
        """Makes everybody look again."""
        for watches in self._watches.values():
            for watch in watches:
                watch.look_again()

    async def run(self) -> None:
        """Reads the feed's tail until cancelled."""
        position = self._tail.position
        while True:
            await self._tail.wait(position, LOOK_SECONDS)
            changes = self._tail.after(position)
            if changes is None:
                self.wake_all()
                position = self._tail.position
                continue
            for tailed in changes:
                self._tell(tailed)
            if changes:
                position = changes[-1].position

    def _tell(self, tailed: Tailed) -> None:
        if not self._watches:
            return
        if tailed.change.kind == "reset":
            self.wake_all()
        elif tailed.change.kind == "task":
            task_id, state = _concerns(tailed)
            for watch in self._watches.get(task_id, ()):
                watch.tell(tailed, state.ended)


def _concerns(tailed: Tailed) -> tuple[str, TaskState]:
    try:
        seen = _peek.decode(tailed.change.data)
    except msgspec.DecodeError:  # escapes of lone surrogates: the codec knows how to read them
        task = decode_summary(tailed.change.data)
        return task.id, task.state
    return seen.id, seen.state
