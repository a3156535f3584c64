"""One recorder's time as the active one: from taking the lease to giving it up or losing it."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress

import structlog
from redis.asyncio import Redis

from app.broker.durable import quoted, stream_key
from app.broker.subscription import Subscription
from app.broker.transport import EVENTS_BYTES, Transport
from app.domain.errors import BrokerUnavailable, FeedUnavailable
from app.feed.lease import Lease
from app.feed.status import RecorderStatus, clear_status, encode_status, last_heard, write_status
from app.feed.stream import feed_errors
from app.feed.writer import Feed
from app.recorder.announce import Announcer
from app.recorder.believe import Beliefs
from app.recorder.durable import Durable
from app.recorder.figures import Figures, news
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.recorder.look import Lookout
from app.recorder.pipeline import Pipeline
from app.recorder.producers import Producers
from app.recorder.receive import Backlog, receive
from app.recorder.reconcile import PACE, Pace, Reconciler
from app.recorder.retention import Retention
from app.recorder.revokes import Revokes
from app.recorder.watch import watch
from app.store import positions, producers, queues, workers
from app.store.blind_windows import EVENTS, BlindWindow

RECONNECT_SECONDS = 0.1
"""Workers send what they kept back as soon as Redis is there again: we have to be there first."""
QUIET_SECONDS = 10.0
"""A subscription notices a dead peer within this, so what came before it was heard."""
STATUS_SECONDS = 1.0
DRAIN_SECONDS = 2.0
"""For the last events, when told to stop; and a quarter of it to announce them."""
CANCEL_AGAIN_SECONDS = 0.1

log = structlog.get_logger()


class Session:
    """Everything that runs while this recorder is the active one."""

    def __init__(
        self,
        transport: Transport,
        keeper: Keeper,
        redis: "Redis",
        lease: Lease,
        fleet: Fleet,
        durable: Durable,
        retention: float,
        pace: Pace,
    ) -> None:
        self._transport = transport
        self._keeper = keeper
        self._redis = redis
        self._figures = Figures()
        self._backlog = Backlog()
        self._announcer = Announcer(Feed(redis, holder=lease.holder), keeper)
        self._pipeline = Pipeline(
            transport, self._backlog, Beliefs(), fleet, keeper, self._announcer, self._figures
        )
        self._durable = durable
        self._producers = durable.producers
        self._retention = Retention(keeper, self._backlog, self._producers, retention)
        self._pipeline.follow(durable)
        self._lookout = Lookout(transport, self._pipeline, fleet, keeper, retention)
        self._reconciler = Reconciler(
            transport,
            self._lookout,
            self._pipeline,
            fleet,
            keeper,
            self._figures,
            pace,
            self._describe,
        )
        self._revokes = Revokes(transport, fleet, keeper, self._figures)
        self._pipeline.on_arrival = self._greet
        self._pipeline.batches.on_gap = self._reconciler.heal
        self._pipeline.on_cut = self._lookout.recall
        self._pipeline.on_revoked = self._revokes.hear
        self._fleet = fleet
        self._run_id = ""
        self._hands: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        transport: Transport,
        keeper: Keeper,
        redis: "Redis",
        lease: Lease,
        retention: float,
        events_bytes: int = EVENTS_BYTES,
        pace: Pace = PACE,
    ) -> "Session":
        """Reads where the last recorder left off. Raises FeedUnavailable, LeaseLost."""
        known_workers = await keeper.insist(workers.list_all, keeper.db)
        known_queues = await keeper.insist(queues.list_all, keeper.db)
        fleet = Fleet(known_workers, known_queues)
        key = stream_key(transport)
        position = await keeper.insist(positions.get, keeper.db, key)
        counted = Producers(await keeper.insist(producers.all_known, keeper.db))
        durable = Durable(redis, key, position, counted, events_bytes)
        session = cls(transport, keeper, redis, lease, fleet, durable, retention, pace)
        try:
            await session._announcer.open()
        except BaseException:
            await session._lookout.close()
            await session._revokes.close()
            raise
        return session

    async def run(self, stopping: asyncio.Event) -> None:
        """Records until told to stop. Raises LeaseLost, and whatever should not happen."""
        log.info("recording", recorder=self._figures.name)
        hearing = [self._hear(), self._durable.run(), self._reconciler.run()]
        hearing += [self._lookout.measure_often(), self._lookout.ask_often()]
        hearing += [watch(self._transport, self._fleet, self._pipeline, self._figures)]
        hearing += [self._lookout.recall_often(), self._retention.run()]
        hearing += [self._retention.tend()]
        hearing += [self._revokes.hold(), self._revokes.answer_hellos()]
        keeping = [self._pipeline.run(), self._announcer.run()]
        keeping += [self._keeper.until_lost(), self._say_status()]
        ears, self._hands = _start(hearing), _start(keeping)
        told = asyncio.create_task(stopping.wait())
        try:
            done, _ = await asyncio.wait(
                [told, *ears, *self._hands], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {told}:
                await task  # raises what ended it
            await _end(ears)
            await self._finish()
        finally:
            told.cancel()
            await _end([*ears, *self._hands])
            await self._lookout.close()
            await self._revokes.close()

    async def _finish(self) -> None:
        """Takes what was heard through the steps; what does not get through stays in the outbox."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._pipeline.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS / 4):
                await self._announcer.flush()
        await _end(self._hands)
        if self._keeper.lost:
            return  # the status is another's now
        with suppress(FeedUnavailable):
            async with feed_errors():
                await clear_status(self._redis)

    def _greet(self) -> None:
        """A worker came online."""
        self._lookout.greet()
        self._revokes.greet()

    async def _hear(self) -> None:
        """Listens for ever; where we were blind, says so and looks around."""
        began, cause = await self._unheard_since(), "started"
        while True:
            subscription = await self._subscribe()
            try:
                self._reconciler.heal(await self._close_window(began, cause))
                await receive(subscription, self._backlog, self._producers)
            except BrokerUnavailable as error:
                log.warning("not heard any more", reason=str(error))
                self._figures.deaf(str(error))
            finally:
                await subscription.close()
            quiet = time.time() - QUIET_SECONDS
            began = max(self._backlog.heard_at, self._figures.subscribed_at, quiet)
            cause = "disconnected"

    async def _subscribe(self) -> Subscription:
        while True:
            try:
                subscription = await Subscription.open(self._transport)
            except BrokerUnavailable as error:
                self._figures.deaf(str(error))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._figures.hears()
                log.info("listening", channel=self._transport.event_pattern())
                return subscription

    async def _unheard_since(self) -> float | None:
        try:
            async with feed_errors():
                return await last_heard(self._redis)
        except FeedUnavailable:
            return None

    async def _close_window(self, began: float | None, cause: str) -> list[BlindWindow]:
        if await self._has_restarted():
            cause = "restarted"
        if began is None:
            return []
        ended = self._figures.subscribed_at
        window = BlindWindow(began_at=min(began, ended), ended_at=ended, cause=cause)
        self._figures.blind_windows += 1
        self._pipeline.note(window)
        return [window]

    async def _has_restarted(self) -> bool:
        """Redis is another run than before, and may have forgotten queues and results."""
        try:
            found = await self._lookout.run_id()
        except BrokerUnavailable:
            return False
        before, self._run_id = self._run_id, found
        return before not in ("", found)

    def _describe(self, window: BlindWindow, seen: str) -> str:
        """What was looked at; and what a window of the published events did not touch."""
        if window.source != EVENTS:
            return f"{window.note}; {seen}"
        hosts = self._producers.known_hosts()
        durable = sum(quoted(name) in hosts for name in self._fleet.online())
        if not durable:
            return seen
        who = "1 worker has" if durable == 1 else f"{durable} workers have"
        return f"{who} the plugin: what was said there meanwhile was read; {seen}"

    async def _say_status(self) -> None:
        said: tuple[object, ...] = ()
        while True:
            self._figures.turned.clear()
            status = self._status()
            with suppress(FeedUnavailable):
                async with feed_errors():
                    await write_status(self._redis, status, self._figures.subscribed)
            if news(status) != said:
                said = news(status)
                self._pipeline.say(encode_status(status))
            self._pipeline.wake()
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_SECONDS):
                    await self._figures.turned.wait()

    def _status(self) -> RecorderStatus:
        now, figures = time.time(), self._figures
        hosts = self._producers.hosts_lately()
        figures.token = self._keeper.token
        figures.durable_producers = self._producers.count_lately(now)
        figures.stock_workers = sum(quoted(name) not in hosts for name in self._fleet.online())
        figures.stream_lag = self._durable.lag(now)
        figures.stream_position = self._durable.position
        figures.producer_dropped = self._producers.dropped
        return figures.status(len(self._backlog), self._keeper.failing, self._durable.failing)


def _start(work: list[Coroutine[None, None, None]]) -> list["asyncio.Task[None]"]:
    return [asyncio.create_task(each) for each in work]


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancels until they have ended: until Python 3.12 `asyncio.wait_for`, through which
    redis-py writes, can swallow a cancellation."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
