"""Step 5: what is committed is announced, in order, under the ids that it was committed with."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable

import structlog

from app.domain.errors import FeedUnavailable, Superseded
from app.feed.changes import Change, Kept, pack_changes, unpack_changes
from app.feed.codec import encode_summary
from app.feed.writer import Feed
from app.recorder.keep import Keeper
from app.store import announcements
from app.store import tasks as stored_tasks
from app.store.announcements import Announcement
from app.store.database import Database

OUTBOX_BYTES = 64 * 1024 * 1024
"""Of changes that wait: twice what the feed keeps anyway. Above it readers are told `reset`."""
TOGETHER = 2_000
"""Changes announced in one pipeline: some 2 MB."""
RETRY_SECONDS = 0.2
FORGET_SECONDS = 1.0
"""Between two clearings of the outbox: each is a transaction, and announcing twice is harmless."""

log = structlog.get_logger()


class Announcer:
    """Announces committed changes; a Redis that is away holds nothing else up.

    `gap` says that changes which readers should have got are gone: the next changes to be
    committed must begin with a reset, whose id is then in its right place.
    """

    def __init__(self, feed: Feed, keeper: Keeper) -> None:
        self.feed = feed
        self.gap = False
        self._keeper = keeper
        self._waiting: deque[list[Change]] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._dropped: str | None = None
        self._forgotten_at = 0.0

    async def open(self) -> None:
        """Takes up what an earlier recorder committed and perhaps did not announce.

        Raises FeedUnavailable.
        """
        left = await self._keeper.insist(announcements.pending, self._keeper.db)
        await self.feed.open(left[-1].last_id if left else None)
        told = await self.feed.present([announcement.last_id for announcement in left])
        for announcement in left:
            if announcement.last_id in told:
                continue
            if changes := await self._whole(unpack_changes(announcement.payload)):
                self.add(changes)

    async def _whole(self, kept: list[Kept]) -> list[Change]:
        """What was kept, with tasks as they are now: whatever came later is told later, again. One
        that was deleted meanwhile is left out."""
        ids = [each.data for each in kept if isinstance(each.data, str)]
        found = await self._keeper.insist(stored_tasks.get_many, self._keeper.db, ids)
        told = {task_id: encode_summary(task) for task_id, task in found.items()}
        whole: list[Change] = []
        for id, kind, data in kept:
            said = told.get(data) if isinstance(data, str) else data
            if said is not None:
                whole.append(Change(id, kind, said))
        return whole

    def add(self, changes: list[Change]) -> None:
        """Has committed changes announced soon."""
        self._waiting.append(changes)
        self._bytes += _size(changes)
        if self._bytes > OUTBOX_BYTES:
            self._dropped = changes[-1].id
            self._waiting.clear()
            self._bytes = 0
            self.gap = True
        self._idle.clear()
        self._woken.set()

    async def run(self) -> None:
        """Announces for ever. Raises LeaseLost."""
        while True:
            await self._woken.wait()
            try:
                await self._announce_some()
            except Superseded as error:  # what waits is in the outbox, for whoever has taken over
                raise self._keeper.lose(str(error)) from None
            except FeedUnavailable as error:
                log.warning("changes wait to be announced", reason=str(error))
                await self._forget_dropped()
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Returns when all that was added is announced."""
        await self._idle.wait()

    async def _announce_some(self) -> None:
        together: list[Change] = []
        packs: list[list[Change]] = []
        for pack in self._waiting:
            if packs and len(together) + len(pack) > TOGETHER:
                break
            together += pack
            packs.append(pack)
        if together and not await self.feed.announce(together):
            log.warning("readers are told to read anew", reason="the feed has a gap")
            self.gap = True
        for pack in packs:
            # Meanwhile all that waited can have been too much: then others stand there now.
            if self._waiting and self._waiting[0] is pack:
                self._bytes -= _size(self._waiting.popleft())
        if not self._waiting:
            self._woken.clear()
            self._idle.set()
        if together:
            await self._forget(together[-1].id)

    async def _forget(self, announced_id: str) -> None:
        """Clears the outbox now and then, but for the last: a start looks if the feed has it."""
        if time.monotonic() - self._forgotten_at >= FORGET_SECONDS:
            self._forgotten_at = time.monotonic()
            await self._keeper.insist(_clear_before, self._keeper.db, announced_id)

    async def _forget_dropped(self) -> None:
        if self._dropped is not None:
            await self._keeper.insist(_clear_before, self._keeper.db, self._dropped)
            self._dropped = None


def pack(changes: list[Change], task_ids: Iterable[str]) -> Announcement:
    """Changes as they are committed with their rows; `task_ids` of the tasks in them, in order."""
    return Announcement(pack_changes(changes, task_ids), changes[0].id, changes[-1].id)


def _size(changes: list[Change]) -> int:
    return sum([len(change.data) for change in changes])


def _clear_before(db: Database, feed_id: str) -> None:
    for announcement in reversed(announcements.pending(db)):
        if announcement.last_id == feed_id:
            announcements.announced(db, announcement.number - 1)
            return
