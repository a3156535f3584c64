"""Steps 4 and 5 of a tick: what it has changed is one transaction, and then one announcement."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from app.feed.changes import Change, Kind, reset
from app.feed.codec import encode_summary
from app.feed.fleet import encode_queue, encode_worker
from app.recorder.announce import Announcer, pack
from app.recorder.believe import Believed
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper, LeaseLost
from app.store.blind_windows import BlindWindow
from app.store.writer import Batch

POSITION_SECONDS = 1.0
"""A position moves with every heartbeat; where nothing else has changed it is kept so often."""
GAPS_COUNTED = 1_000
"""Blind windows of which it is remembered that they are counted, for they can grow."""
GAP = "changes were lost between the store and the feed"

log = structlog.get_logger()


class Batches:
    """Gathers what is to be kept together, and keeps it.

    `positions` are those of the durable streams that were read up to what comes next, `stats`
    the recorder's figures that are to be announced with it. `on_gap` is called with blind windows
    to heal, once they are kept; `on_kept` with the positions that are.
    """

    def __init__(
        self, fleet: Fleet, keeper: Keeper, announcer: Announcer, figures: Figures
    ) -> None:
        self.positions: dict[str, str] = {}
        self.stats: bytes | None = None
        self.on_gap: Callable[[list[BlindWindow]], None] = _nothing
        self.on_kept: Callable[[Mapping[str, str]], None] = _nothing
        self._fleet = fleet
        self._keeper = keeper
        self._announcer = announcer
        self._figures = figures
        self._windows: list[BlindWindow] = []
        self._gaps: list[BlindWindow] = []
        self._counted: deque[tuple[float, str, str]] = deque(maxlen=GAPS_COUNTED)
        self._kept_at = 0.0

    def add_window(self, window: BlindWindow) -> None:
        """A blind window to be kept with the next batch."""
        self._windows.append(window)

    def add_gap(self, window: BlindWindow) -> None:
        """One that is to be healed, too; a gap that grew is counted once."""
        key = (window.began_at, window.cause, window.source)
        if key not in self._counted:
            self._figures.blind_windows += 1
            self._counted.append(key)
        self._gaps.append(window)
        self._windows.append(window)

    async def keep(self, believed: Believed, *, at_once: bool) -> None:
        """Keeps and announces what there is; a position that has moved alone can wait for a later
        batch, unless `at_once`. Raises LeaseLost.
        """
        batch = Batch(
            tasks=believed.tasks,
            new=believed.new,
            workers=self._fleet.take_workers(time.time()),
            queues=self._fleet.take_queues(),
            tallies=believed.tallies,
            blind_windows=self._windows,
            positions=self.positions,
        )
        if not at_once and self._may_wait(batch):
            return
        self._windows, self.positions = [], {}
        try:
            await self._commit(batch)
        except LeaseLost:
            raise
        except Exception:
            # A value that the store chokes on must cost its own task alone, not the recorder.
            log.exception("a tick could not be kept as one")
            await self._keep_one_by_one(batch)

    def _may_wait(self, batch: Batch) -> bool:
        """Nothing but the position has moved: another tick will keep it. Read once more after a
        crash, what changed nothing changes nothing."""
        more = batch.tasks or batch.workers or batch.queues or batch.tallies or batch.blind_windows
        early = time.monotonic() - self._kept_at < POSITION_SECONDS
        told = self.stats is not None or self._announcer.gap
        return not more and not told and early

    async def _keep_one_by_one(self, batch: Batch) -> None:
        rest = replace(batch, tasks=[], new=set(), announcement=None)
        for part in [*(Batch(tasks=[task]) for task in batch.tasks), rest]:
            try:
                await self._commit(part)
            except LeaseLost:
                raise
            except Exception:
                self._figures.malformed["could not be kept"] += 1

    async def _commit(self, batch: Batch) -> None:
        """Steps 4 and 5."""
        gap = self._announcer.gap
        changes = self._changes(batch)
        if changes:
            batch.announcement = pack(changes, [task.id for task in batch.tasks])
        if changes or batch.blind_windows or batch.tallies or batch.positions:
            try:
                await self._keeper.keep(batch)
            except Exception:
                self._announcer.gap |= gap  # nobody was told of it
                raise
        if changes:
            self._announcer.add(changes)
        if batch.positions:
            self._kept_at = time.monotonic()
            self.on_kept(batch.positions)
        if self._gaps and batch.blind_windows:
            gaps, self._gaps = self._gaps, []
            self.on_gap(gaps)

    def _changes(self, batch: Batch) -> list[Change]:
        found: list[tuple[Kind, bytes]] = [("task", encode_summary(task)) for task in batch.tasks]
        found += [("worker", encode_worker(worker)) for worker in batch.workers]
        found += [("queue", encode_queue(queue)) for queue in batch.queues]
        self._figures.changes += len(found)
        if self.stats is not None:
            found.append(("stats", self.stats))
            self.stats = None
        if self._announcer.gap:
            self._announcer.gap = False
            found.insert(0, ("reset", reset("", GAP).data))
        ids = self._announcer.feed.give_ids(len(found)) if found else []
        return [Change(id, kind, data) for id, (kind, data) in zip(ids, found, strict=True)]


def _nothing(*_: object) -> None:
    return None
