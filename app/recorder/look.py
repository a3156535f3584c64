"""A look around: what events alone do not tell, as events for the same pipeline.

On start, and whenever we were blind, we ask what is there: workers and what they hold, queues
and what waits in them, results of the tasks that we believe open. All of it only reads.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import structlog

from app.broker.connection import connect, reading
from app.broker.control import sweep_replies
from app.broker.ledger import find_all_submitted, find_sent
from app.broker.queues import find_queue_names, measure_queues
from app.broker.results import fetch_results, find_result_ids
from app.broker.snapshot import Plain, ask_workers, find_handed_out, find_waiting
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.events import Event, TaskFound, TaskSent
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.recorder.pipeline import Pipeline
from app.store.unsettled import known

MEASURE_SECONDS = 2.0
"""Between two measurements of the queues: one pipelined question."""
NAMES_SECONDS = 10.0
"""Between two searches for queues that nobody has named yet."""
REPORT_SECONDS = 60.0
"""Between two questions to all workers about what they are."""
GREETING_SECONDS = 1.0
"""Patience after a worker comes online: others of a deployment often follow at once."""
UNHEARD_LIMIT = 100_000
"""Results of tasks never heard of that are taken in at once: a busy hour. A backend can hold days
of them; later rounds go on from there."""
RECALLED = 50_000
"""Tasks whose arguments are asked for again while Redis is away: as many as its ledger holds."""

log = structlog.get_logger()


class Lookout:
    """Asks the broker and the workers, and tells the pipeline what it has found.

    `orphans` is as `measure_queues` wants it; whoever finds out sets it.
    """

    def __init__(
        self,
        transport: Transport,
        pipeline: Pipeline,
        fleet: Fleet,
        keeper: Keeper,
        retention: float,
    ) -> None:
        self._transport = transport
        self._pipeline = pipeline
        self._fleet = fleet
        self._keeper = keeper
        self._retention = retention
        self.redis = connect(transport.url)
        self.results = connect(transport.result_url) if transport.result_url else None
        self.orphans: Mapping[str, float] | None = None
        self._scanned = 0
        self._scan_again = False
        self._named: set[str] = set()
        self._named_at = 0.0
        self._plain: Plain = {}
        self._greet = asyncio.Event()
        self._cut: set[str] = set()
        self._recall = asyncio.Event()

    async def look_around(self) -> tuple[str, int]:
        """All there is to see, believed and kept when this returns; says what was looked at, and
        how many tasks of it were never heard of before.

        Raises BrokerUnavailable.
        """
        await sweep_replies(self.redis, self._transport)
        sent = await self._recall_sent()
        workers = await self._ask_workers()
        new = await self._count_new(workers)
        await self._pipeline.tell(workers)
        queues = await self.queue_names()
        waiting = await find_waiting(self.redis, self._transport, sorted(queues))
        new += await self._count_new(waiting)
        await self._pipeline.tell(waiting)
        unknown = await self._find_handed_out()
        await self._pipeline.tell(unknown)
        new += len(unknown)
        await self.measure()
        return (
            f"recalled {sent} tasks sent from here; asked workers ({len(workers)} answers),"
            f" {len(queues)} queues ({len(waiting)} tasks)"
        ), new

    async def measure(self) -> None:
        """Measures the queues once. Raises BrokerUnavailable."""
        names = sorted(await self.queue_names())
        measured = await measure_queues(self.redis, self._transport, names, self.orphans)
        self._pipeline.tell(measured)

    async def measure_often(self) -> None:
        """Measures the queues for ever."""
        while True:
            try:
                await self.measure()
            except BrokerUnavailable as error:
                log.debug("queues not measured", reason=str(error))
            except Exception:  # whatever stands on the broker must not stop the recorder
                log.exception("queues not measured")
            await asyncio.sleep(MEASURE_SECONDS)

    def greet(self) -> None:
        """A worker came online: it is asked soon what it is."""
        self._greet.set()

    async def ask_often(self) -> None:
        """Asks the workers for ever: once a minute, soon after one came online, and at growing
        intervals while one has not said yet what it is.
        """
        patience = REPORT_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._greet.wait()
                    patience = GREETING_SECONDS
                    await asyncio.sleep(GREETING_SECONDS)
            self._greet.clear()
            try:
                await self._pipeline.tell(await self._ask_workers())
            except BrokerUnavailable as error:
                log.debug("workers not asked", reason=str(error))
            except Exception:  # whatever a worker answers must not stop the recorder
                log.exception("workers not asked")
            # A worker says that it is online a moment before it listens to questions.
            patience = (
                min(2 * patience, REPORT_SECONDS) if self._fleet.strangers() else REPORT_SECONDS
            )

    def recall(self, task_ids: Iterable[str]) -> None:
        """These were sent with arguments too large for their event: Umbel's ledger may know."""
        self._cut.update(task_ids)
        self._recall.set()

    async def recall_often(self) -> None:
        """Reads true arguments from the ledger for ever, as they are asked for."""
        while True:
            await self._recall.wait()
            self._recall.clear()
            asked, self._cut = sorted(self._cut), set()
            try:
                found = await find_all_submitted(self.redis, self._transport, asked)
            except BrokerUnavailable as error:
                log.debug("arguments not read", reason=str(error))
                self._cut.update(asked[:RECALLED])
                self._recall.set()
                await asyncio.sleep(MEASURE_SECONDS)
                continue
            now = time.time()
            self._pipeline.tell(
                [
                    TaskSent(
                        task_id=task.id,
                        at=task.sent_at or now,
                        heard_at=now,
                        args=task.args,
                        kwargs=task.kwargs,
                        retry_of=task.retry_of,
                    )
                    for task in found.values()
                ]
            )

    async def run_id(self) -> str:
        """Which run of Redis answers: another one after each of its restarts.

        Raises BrokerUnavailable.
        """
        with reading(self._transport.url):
            found = await self.redis.info("server")
        return str(found.get("run_id", ""))

    async def close(self) -> None:
        """Closes the connections."""
        await self.redis.aclose()
        if self.results is not None:
            await self.results.aclose()

    async def _ask_workers(self) -> list[Event]:
        return await ask_workers(self.redis, self._transport, self._plain)

    async def queue_names(self) -> set[str]:
        """All queues that anybody has named. Raises BrokerUnavailable."""
        if time.monotonic() - self._named_at >= NAMES_SECONDS:
            self._named = await find_queue_names(self.redis, self._transport)
            self._named_at = time.monotonic()
        given = {self._transport.default_queue, *self._transport.extra_queues}
        return given | self._named | self._fleet.queue_names()

    async def _recall_sent(self) -> int:
        """Tasks that people sent from here while nobody listened."""
        sent = 0
        async for page in find_sent(self.redis, self._transport):
            sent += len(page)
            await self._pipeline.tell(page)
        return sent

    @property
    def unheard_left(self) -> bool:
        """Results of tasks never heard of were not all looked for yet."""
        return self._scanned != 0 or self._scan_again

    async def find_unheard(self, *, anew: bool = True) -> tuple[int, int]:
        """Has tasks believed that were sent and ended while nobody listened: how many, and how
        many of them have ended.

        Goes on where the last call was broken off, and `anew` from the beginning after that.
        Raises BrokerUnavailable.
        """
        found = ends = 0
        if self.results is None:
            return found, ends
        self._scan_again = self._scanned != 0 and (anew or self._scan_again)
        since = time.time() - self._retention
        place = self._scanned
        async for cursor, ids in find_result_ids(self.results, self._transport, place):
            unknown = await self._unknown(ids)
            fetched = await fetch_results(self.results, self._transport, unknown)
            events = [event for event in fetched if event.at >= since]
            if events:
                await self._pipeline.tell(events)
            found += len(events)
            ends += sum(event.ends for event in events)
            self._scanned = cursor
            if found >= UNHEARD_LIMIT:
                break
        return found, ends

    async def _find_handed_out(self) -> list[TaskFound]:
        """Messages of tasks never heard of; of known ones this says nothing, as it names nobody."""
        found = {each.task_id: each for each in await find_handed_out(self.redis, self._transport)}
        return [found[task_id] for task_id in await self._unknown(list(found))]

    async def _count_new(self, events: Sequence[Event]) -> int:
        ids = {event.task_id for event in events if type(event) is TaskFound}
        return len(await self._unknown(sorted(ids)))

    async def _unknown(self, ids: Sequence[str]) -> list[str]:
        heard_of = await self._keeper.insist(known, self._keeper.db, ids)
        return [task_id for task_id in ids if task_id not in heard_of]
