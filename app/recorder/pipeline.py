"""The five steps, tick by tick: receive ▶ translate ▶ believe ▶ keep ▶ announce."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from app.broker.durable import Entry, read_entries
from app.broker.subscription import Heard
from app.broker.translate import translate
from app.broker.transport import Transport
from app.domain.events import (
    Event,
    QueueMeasured,
    TaskEvent,
    TaskRevoked,
    TaskSent,
    WorkerEvent,
    WorkerHeartbeat,
    WorkerLost,
    WorkerOffline,
    WorkerReported,
)
from app.domain.tasks import Task
from app.recorder.announce import Announcer
from app.recorder.batches import Batches
from app.recorder.believe import Beliefs, Believed
from app.recorder.durable import Durable
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.recorder.producers import TOGETHER_SECONDS
from app.recorder.receive import Backlog, Dropped
from app.store import tasks as stored_tasks
from app.store.blind_windows import BlindWindow

TICK_SECONDS = 0.05
"""Changes of one task within a tick are one change: people see 20 a second as at once."""
STORM = 10_000
"""Events a second from which on ticks are longer: more tasks then change twice within one,
which is a row with its indexes and an announcement less."""
CALM = 7_500
"""Events a second below which that ends: a storm is not even, and a short tick within it writes
what the next one writes again."""
STORM_TICK_SECONDS = 0.5
"""Nobody reads single tasks then; live pages are drawn every 250 ms at most anyway."""
MESSAGES_AT_ONCE = 2_000
"""Messages translated before others get a turn: some 20 ms."""
MESSAGES_OF_A_TICK = 6_000
"""In a storm that we are behind of; more would keep readers waiting for one big transaction."""
STREAMED_AT_ONCE = 1 << 20
"""Bytes of streamed entries translated before others get a turn: 3,000 events, some 15 ms."""
STREAMED_OF_A_TICK = 4 << 20
"""The limit of a tick for them, as above."""
STALE_SECONDS = 5.0
"""What the stream tells of a worker, older than its last word by this, is history."""
EVENTS_AT_ONCE = 5_000
"""The same for what a look around has found."""
CUT = "..."
"""In Celery's repr of arguments over 1,024 characters."""

WORKER_EVENTS = frozenset({WorkerHeartbeat, WorkerOffline, WorkerLost, WorkerReported})


class Pipeline:
    """Takes what was heard, and what a look around has found, through all steps in order.

    `on_arrival` is called when a worker comes that has not said yet what it is, `on_cut` with
    the ids of tasks that were heard to be sent with arguments too long to be said, `on_revoked`
    with those of tasks that a worker says it has revoked. `batches` are steps 4 and 5.
    """

    def __init__(
        self,
        transport: Transport,
        backlog: Backlog,
        beliefs: Beliefs,
        fleet: Fleet,
        keeper: Keeper,
        announcer: Announcer,
        figures: Figures,
    ) -> None:
        self._transport = transport
        self._backlog = backlog
        self._beliefs = beliefs
        self._fleet = fleet
        self._keeper = keeper
        self._figures = figures
        self._told: deque[tuple[Sequence[Event], asyncio.Future[None]]] = deque()
        self._overload: Dropped | None = None
        self._finishing = False
        self._finished = asyncio.Event()
        self._durable: Durable | None = None
        self.batches = Batches(fleet, keeper, announcer, figures)
        self.on_arrival: Callable[[], None] = _nothing
        self.on_cut: Callable[[list[str]], None] = _nothing
        self.on_revoked: Callable[[list[str]], None] = _nothing

    def follow(self, durable: Durable) -> None:
        """Takes durable events too."""
        self._durable = durable
        durable.on_news, durable.on_gap = self.wake, self.batches.add_gap
        self.batches.on_kept = durable.kept

    def tell(self, events: Sequence[Event]) -> "asyncio.Future[None]":
        """Has events that were found believed like heard ones; done when they are kept."""
        kept = asyncio.get_running_loop().create_future()
        for start in range(0, len(events), EVENTS_AT_ONCE) or (0,):
            part = events[start : start + EVENTS_AT_ONCE]
            last = start + EVENTS_AT_ONCE >= len(events)
            self._told.append((part, kept if last else _nobody_waits()))
        self._backlog.filled.set()
        return kept

    def behind(self, moment: float) -> bool:
        """Something that was heard until then is not believed yet."""
        now, oldest = time.time(), self._backlog.oldest_at
        if oldest is not None and oldest <= moment:
            return True
        if self._durable is None:
            return False
        lag = self._durable.lag(now)
        return (lag > 0.0 and now - lag <= moment) or self._durable.unread(moment)

    def note(self, window: BlindWindow) -> None:
        """Has a blind window kept."""
        self.batches.add_window(window)
        self._backlog.filled.set()

    def say(self, stats: bytes) -> None:
        """Has the recorder's figures announced."""
        self.batches.stats = stats
        self._backlog.filled.set()

    def wake(self) -> None:
        """Has a look at what may be due, such as the counts of a busy worker."""
        self._backlog.filled.set()

    async def run(self) -> None:
        """Works until `finish`. Raises LeaseLost."""
        before, storms = time.monotonic(), False
        while not self._finishing:
            await self._backlog.filled.wait()
            began = time.monotonic()
            events = await self.tick()
            if not self._behind():
                storms = events > (CALM if storms else STORM) * (began - before)
                length = STORM_TICK_SECONDS if storms else TICK_SECONDS
                await asyncio.sleep(max(0.0, began + length - time.monotonic()))
            before = began
        while len(self._backlog) or self._told:
            await self.tick()
        await self.batches.keep(Believed(), at_once=True)
        self._finished.set()

    async def finish(self) -> None:
        """Takes all that is there through the steps, and ends `run`."""
        self._finishing = True
        self._backlog.filled.set()
        await self._finished.wait()

    async def tick(self) -> int:
        """One round; how many events were heard."""
        self._figures.lag = self._waited()
        told, kept = self._told.popleft() if self._told else ((), None)
        events = await self._hear()
        events += await self._read_on()
        heard = len(events)
        events += told
        if not (len(self._backlog) or self._told or (self._durable and self._durable.news)):
            self._backlog.filled.clear()
        self._note_dropped()
        await self._take(events)
        if self._durable is not None:
            self._durable.passed()
        if kept is not None and not kept.done():
            kept.set_result(None)
        return heard

    def _behind(self) -> bool:
        durable = self._durable
        return len(self._backlog) >= MESSAGES_AT_ONCE or (durable is not None and durable.behind)

    def _waited(self) -> float:
        oldest = self._backlog.oldest_at
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    async def _hear(self) -> list[Event]:
        """Step 2 for all that waits, up to a tick's limit."""
        events: list[Event] = []
        messages = 0
        while messages < MESSAGES_OF_A_TICK and (heard := self._backlog.take(MESSAGES_AT_ONCE)):
            events += self._translate(heard)
            messages += len(heard)
            await asyncio.sleep(0)
        return events

    async def _read_on(self) -> list[Event]:
        """Step 2 for durable events; the position moves with what they change."""
        events: list[Event] = []
        durable = self._durable
        if durable is None or not durable.news or self._finishing:
            return events
        left = STREAMED_OF_A_TICK
        while left > 0:
            entries, position = durable.take(STREAMED_AT_ONCE)
            self.batches.positions[durable.key] = position
            if not entries:
                break
            left -= STREAMED_AT_ONCE
            events += self._read(entries, durable)
            await asyncio.sleep(0)
        self.batches.positions.update(durable.producers.take_positions())
        for window in durable.producers.take_windows():
            self.batches.add_gap(window)
        return events

    def _read(self, entries: list[Entry], durable: Durable) -> list[Event]:
        reading = read_entries(entries)
        events: list[Event] = []
        for words in reading.words:
            events += durable.producers.hear(words)
        self._figures.events += len(events)
        self._figures.malformed.update(reading.reasons)
        self._look_for_cut(events)
        return events

    def _look_for_cut(self, events: list[Event]) -> None:
        if cut := [event.task_id for event in events if _is_cut(event)]:  # type: ignore[union-attr]
            self.on_cut(cut)

    def _translate(self, heard: list[Heard]) -> list[Event]:
        translation = translate(heard, self._transport)
        self._figures.events += len(translation.events)
        self._figures.malformed.update(translation.reasons)
        self._look_for_cut(translation.events)
        return translation.events

    def _note_dropped(self) -> None:
        if dropped := self._backlog.take_dropped():
            self._figures.dropped += dropped.messages
            before = self._overload
            if before is not None and dropped.first_at - before.last_at <= TOGETHER_SECONDS:
                messages = before.messages + dropped.messages
                dropped = Dropped(messages, before.first_at, dropped.last_at)
            self._overload = dropped
            self.batches.add_gap(
                BlindWindow(
                    began_at=dropped.first_at,
                    ended_at=dropped.last_at,
                    cause="overload",
                    note=f"{dropped.messages} messages came faster than they could be kept",
                )
            )

    async def _take(self, events: list[Event]) -> None:
        """Steps 3 to 5."""
        tasks: list[TaskEvent] = []
        workers: list[WorkerEvent] = []
        queues: list[QueueMeasured] = []
        for event in events:
            kind = type(event)
            if kind in WORKER_EVENTS:
                if not _is_stale(event, self._fleet):  # type: ignore[arg-type]
                    workers.append(event)  # type: ignore[arg-type]
            elif kind is QueueMeasured:
                queues.append(event)  # type: ignore[arg-type]
            else:
                tasks.append(event)  # type: ignore[arg-type]
        if revoked := [event.task_id for event in tasks if type(event) is TaskRevoked]:
            self.on_revoked(revoked)
        await self._load(tasks)
        believed = self._beliefs.believe(tasks)
        if believed.refused:
            self._figures.malformed["could not be believed"] += believed.refused
        self._fleet.hear_of(believed.tasks)
        await self._believe_fleet(workers, queues)
        await self.batches.keep(believed, at_once=self._finishing)

    async def _load(self, tasks: list[TaskEvent]) -> None:
        if missing := self._beliefs.missing(tasks):
            get_many, db = stored_tasks.get_many, self._keeper.db
            self._beliefs.load(await self._keeper.insist(get_many, db, missing))

    async def _believe_fleet(self, workers: list[WorkerEvent], queues: list[QueueMeasured]) -> None:
        if any(_arrives(event, self._fleet) for event in workers):
            self.on_arrival()
        taken = [self._fleet.hear(event) for event in workers]
        if queues:
            heads = await self._find([head for event in queues for head in event.head_ids])
            taken += [self._fleet.measure(event, heads) for event in queues]
        if too_many := taken.count(False):
            self._figures.malformed["more workers or queues than are kept"] += too_many

    async def _find(self, ids: list[str]) -> dict[str, Task]:
        """Tasks of the messages that wait longest, wherever they are known."""
        found = {task_id: self._beliefs.find(task_id) for task_id in ids}
        heads = {task_id: task for task_id, task in found.items() if task is not None}
        if missing := [task_id for task_id, task in found.items() if task is None]:
            get_many, db = stored_tasks.get_many, self._keeper.db
            heads |= await self._keeper.insist(get_many, db, missing)
        return heads


def _nobody_waits() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


def _arrives(event: WorkerEvent, fleet: Fleet) -> bool:
    return type(event) is WorkerHeartbeat and (event.online or event.worker not in fleet.workers)


def _is_stale(event: WorkerEvent, fleet: Fleet) -> bool:
    known = fleet.workers.get(event.worker)
    return known is not None and event.heard_at < known.heard_at - STALE_SECONDS


def _is_cut(event: Event) -> bool:
    """A publisher's repr ends so where the arguments were too long for it."""
    return (
        type(event) is TaskSent
        and event.args is None
        and (CUT in (event.args_repr or "") or CUT in (event.kwargs_repr or ""))
    )


def _nothing(*_: object) -> None:
    return None
