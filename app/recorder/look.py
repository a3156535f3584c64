"""A look around: what events alone do not tell, as events for the same pipeline.

On start, and whenever we were blind, we ask what is there: workers and what they hold, queues
and what waits in them, results of the tasks that we believe open. All of it only reads.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

import structlog

from app.broker.connection import connect, reading
from app.broker.control import sweep_replies
from app.broker.ledger import find_all_submitted, find_sent
from app.broker.queues import find_queue_names, measure_queues
from app.broker.results import fetch_results, find_result_ids
from app.broker.snapshot import Plain, ask_workers, find_waiting
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.events import Event, TaskSent
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.recorder.pipeline import Pipeline
from app.store.tasks import get_many, open_tasks

MEASURE_SECONDS = 2.0
"""Between two measurements of the queues: one pipelined question."""
NAMES_SECONDS = 10.0
"""Between two searches for queues that nobody has named yet."""
REPORT_SECONDS = 60.0
"""Between two questions to all workers about what they are."""
GREETING_SECONDS = 1.0
"""Patience after a worker comes online: others of a deployment often follow at once."""
OPEN_AT_ONCE = 500
"""Open tasks healed at once."""
UNHEARD_LIMIT = 100_000
"""Results taken in of tasks never heard of: a busy hour. A backend can hold days of them."""
HEAL_PAUSE_SECONDS = 0.02
"""Between two such rounds: at most 25,000 keys a second, a few per cent of a Redis."""

log = structlog.get_logger()


class Lookout:
    """Asks the broker and the workers, and tells the pipeline what it has found."""

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
        self._redis = connect(transport.url)
        self._results = connect(transport.result_url) if transport.result_url else None
        self._named: set[str] = set()
        self._named_at = 0.0
        self._plain: Plain = {}
        self._greet = asyncio.Event()
        self._cut: set[str] = set()
        self._recall = asyncio.Event()

    async def look_around(self) -> str:
        """All there is to see, believed and kept when this returns; says what was looked at.

        Raises BrokerUnavailable.
        """
        await sweep_replies(self._redis, self._transport)
        sent = await self._recall_sent()
        workers = await self._ask_workers()
        await self._pipeline.tell(workers)
        queues = await self._queue_names()
        waiting = await find_waiting(self._redis, self._transport, sorted(queues))
        await self._pipeline.tell(waiting)
        await self.measure()
        healed, asked = await self._fetch_open()
        unheard = await self._find_unheard()
        return (
            f"asked workers ({len(workers)} answers), {len(queues)} queues ({len(waiting)} tasks)"
            f" and the results of {asked} open tasks ({healed} found); recalled {sent} tasks sent"
            f" from here, and found {unheard} results of tasks that were never heard of"
        )

    async def measure(self) -> None:
        """Measures the queues once. Raises BrokerUnavailable."""
        names = sorted(await self._queue_names())
        self._pipeline.tell(await measure_queues(self._redis, self._transport, names))

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
                found = await find_all_submitted(self._redis, self._transport, asked)
            except BrokerUnavailable as error:
                log.debug("arguments not read", reason=str(error))
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
            found = await self._redis.info("server")
        return str(found.get("run_id", ""))

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()
        if self._results is not None:
            await self._results.aclose()

    async def _ask_workers(self) -> list[Event]:
        return await ask_workers(self._redis, self._transport, self._plain)

    async def _queue_names(self) -> set[str]:
        if time.monotonic() - self._named_at >= NAMES_SECONDS:
            self._named = await find_queue_names(self._redis, self._transport)
            self._named_at = time.monotonic()
        given = {self._transport.default_queue, *self._transport.extra_queues}
        return given | self._named | self._fleet.queue_names()

    async def _recall_sent(self) -> int:
        """Tasks that people sent from here while nobody listened."""
        sent = 0
        async for page in find_sent(self._redis, self._transport):
            sent += len(page)
            await self._pipeline.tell(page)
        return sent

    async def _find_unheard(self) -> int:
        """Results of tasks that were sent and ended while nobody listened."""
        found = 0
        if self._results is None:
            return found
        since = time.time() - self._retention
        async for ids in find_result_ids(self._results, self._transport):
            known = await self._keeper.insist(get_many, self._keeper.db, ids)
            unknown = [task_id for task_id in ids if task_id not in known]
            fetched = await fetch_results(self._results, self._transport, unknown)
            events = [event for event in fetched if event.at >= since]
            found += len(events)
            if events:
                await self._pipeline.tell(events)
            if found >= UNHEARD_LIMIT:
                break
        return found

    async def _fetch_open(self) -> tuple[int, int]:
        """Results of all open tasks: how many were found, how many were asked for."""
        if self._results is None:
            return 0, 0
        healed = asked = 0
        after: int | None = None
        while page := await self._keeper.insist(open_tasks, self._keeper.db, OPEN_AT_ONCE, after):
            after = page[-1].seq
            asked += len(page)
            ids = [task.id for task in page]
            found = await fetch_results(self._results, self._transport, ids)
            healed += len(found)
            await self._pipeline.tell(found)
            await asyncio.sleep(HEAL_PAUSE_SECONDS)
        return healed, asked
