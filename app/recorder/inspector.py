"""Tasks held against what is there: their results, and whoever has them or not."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from redis.asyncio import Redis

from app.broker.evidence import Whereabouts, WorkerSettings, look
from app.broker.results import fetch_results
from app.broker.transport import Transport
from app.domain.events import Mark, TaskEvent, TaskFound, TaskLost
from app.domain.tasks import Task
from app.domain.verdict import Kind, Patience, Verdict, judge
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.recorder.pipeline import Pipeline
from app.recorder.scene import Scene, Unheard
from app.store.unsettled import some

SUSPECTS_LIMIT = 100_000
"""Tasks missed once that are looked for again; more are noticed again in a later round."""
UNREAD_LIMIT = 1_000
"""Queues that only old tasks name and that are read for them."""
CAUGHT_UP_SECONDS = 5.0
"""For what was heard before a verdict to be believed first; else the task is looked for again."""
CAUGHT_UP_POLL_SECONDS = 0.05
NEXT_STEP_SECONDS = 1e-6
"""Between two steps of a story that are told together, so that they keep their order."""

log = structlog.get_logger()


@dataclass(slots=True)
class Findings:
    """What a pass has found: tasks first heard of, ends learned, tasks given up; and how many
    it could not judge, by reason: at all, and until a worker answers."""

    found: int = 0
    ended: int = 0
    lost: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)

    @property
    def unchecked(self) -> Counter[str]:
        """All that could not be judged, by reason."""
        return self.unjudged + self.unanswered


class Inspector:
    """Judges tasks, and tells the pipeline. Remembers who was missed once, and by which mark.

    `doubtful` are tasks that can be told as soon as a worker answers. `orphans` is when each
    message that is handed out to nobody is handed out again, by delivery tag. `unheard` are the
    spans in which something can have gone unheard; `unread` queues that a task named and no
    look has read.
    """

    def __init__(
        self,
        transport: Transport,
        redis: Redis,
        results: Redis | None,
        pipeline: Pipeline,
        fleet: Fleet,
        keeper: Keeper,
        figures: Figures,
        patience: Patience,
    ) -> None:
        self._transport = transport
        self._redis = redis
        self._results = results
        self._pipeline = pipeline
        self._fleet = fleet
        self._keeper = keeper
        self._figures = figures
        self._patience = patience
        self._settings = WorkerSettings()
        self.suspects: dict[str, tuple[Mark, float]] = {}
        self.doubtful: set[str] = set()
        self.orphans: dict[str, float] = {}
        self.unheard = Unheard()
        self.unread: set[str] = set()

    async def look(self, queues: set[str], limit: int) -> Scene:
        """Where all tasks are now; `limit` is how many messages are read for it.

        Raises BrokerUnavailable.
        """
        names = queues | self.unread
        seen = await look(self._redis, self._transport, self._settings, names, limit=limit)
        return Scene(seen, self._fleet, self.unheard, self._results is not None)

    async def check(self, tasks: Sequence[Task], scene: Scene, findings: Findings) -> None:
        """Learns what the result backend knows of these tasks, and judges the others.

        Raises BrokerUnavailable.
        """
        moment = time.time()
        over = await self.learn([task.id for task in tasks])
        findings.ended += len(over)
        found: list[TaskEvent] = []
        lost: list[TaskEvent] = []
        for task in tasks:
            absent_since = self._absent_since(task)
            evidence = scene.evidence(task, moment, task.id in over, absent_since)
            verdict = judge(task, evidence, self._patience)
            self._remember(task, verdict, moment, findings)
            if verdict.kind in (Kind.LOST, Kind.RETURNED):
                lost += _lost(task, verdict, scene.seen, moment)
            elif verdict.kind in (Kind.FOUND, Kind.ORPHANED):
                found += _found(task, verdict, scene.seen, moment)
            if task.queue and task.queue not in scene.seen.read and len(self.unread) < UNREAD_LIMIT:
                self.unread.add(task.queue)
        if found:
            await self._pipeline.tell(found)
        if lost and await self._caught_up(moment):
            await self._pipeline.tell(lost)
            self._count_lost(lost, findings)

    async def learn(self, task_ids: Sequence[str]) -> set[str]:
        """Has the results of these tasks believed; which of them have ended by it."""
        if self._results is None:
            return set()
        results = await fetch_results(self._results, self._transport, task_ids)
        if results:
            await self._pipeline.tell(results)
        return {result.task_id for result in results if result.ends}

    async def count_orphans(self, scene: Scene) -> None:
        """Notes which messages are handed out and with nobody, whatever is known of their tasks."""
        seen, now = scene.seen, time.time()
        ids = [task_id for task_id in seen.handed_out if task_id not in seen.held]
        tasks = {task.id: task for task in await self._keeper.insist(some, self._keeper.db, ids)}
        orphans = {}
        for task_id in ids:
            entry, task = seen.handed_out[task_id], tasks.get(task_id)
            young = entry.delivered_at is None or now - entry.delivered_at < self._patience.grace
            again = scene.redelivery_at(task, entry)
            if (
                again is not None
                and not young
                and not scene.may_be_kept(task, entry, self._patience)
            ):
                orphans[entry.tag] = again
        self.orphans = orphans

    def forget(self, task_ids: Iterable[str]) -> None:
        """These are not known any more."""
        for task_id in task_ids:
            self.suspects.pop(task_id, None)
            self.doubtful.discard(task_id)

    def forget_suspicions(self) -> None:
        """Something may have gone unheard: whoever was missed before counts as missed never."""
        self.suspects.clear()

    def _absent_since(self, task: Task) -> float | None:
        mark, since = self.suspects.get(task.id, (None, None))
        return since if mark == task.mark else None

    def _remember(self, task: Task, verdict: Verdict, now: float, findings: Findings) -> None:
        self.doubtful.discard(task.id)
        if verdict.kind is Kind.ABSENT:
            if self._absent_since(task) is None and (
                task.id in self.suspects or len(self.suspects) < SUSPECTS_LIMIT
            ):
                self.suspects[task.id] = task.mark, now
        elif verdict.kind not in (Kind.LOST, Kind.RETURNED):
            self.suspects.pop(task.id, None)
        if verdict.kind is not Kind.UNJUDGED:
            return
        if verdict.soon and len(self.doubtful) < SUSPECTS_LIMIT:
            findings.unanswered[verdict.reason] += 1
            self.doubtful.add(task.id)
        else:
            findings.unjudged[verdict.reason] += 1

    def _count_lost(self, events: Sequence[TaskEvent], findings: Findings) -> None:
        """What was found again in its queue at once is not lost."""
        given_up = [event for event in events if isinstance(event, TaskLost)]
        for event in given_up:
            self.suspects.pop(event.task_id, None)
            log.debug("task given up", task=event.task_id, reason=event.reason)
        lost = len(given_up) - sum(isinstance(event, TaskFound) for event in events)
        findings.lost += lost
        self._figures.lost += lost
        log.info("tasks given up", lost=lost, back_in_their_queue=len(given_up) - lost)

    async def _caught_up(self, moment: float) -> bool:
        """All that was heard until then is believed, and we hear still."""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        while self._pipeline.behind(moment):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(CAUGHT_UP_POLL_SECONDS)
        return self._figures.subscribed and self._figures.subscribed_at <= moment


def _lost(task: Task, verdict: Verdict, seen: Whereabouts, now: float) -> list[TaskEvent]:
    """Given up; one that is back in its queue at once found there, as one step of its story."""
    given_up = TaskLost(
        task_id=task.id,
        at=now,
        heard_at=now,
        reason=verdict.reason,
        mark=task.mark,
        redelivery_at=verdict.redelivery_at,
    )
    if verdict.kind is Kind.LOST:
        return [given_up]
    return [given_up, *_found(task, verdict, seen, now + NEXT_STEP_SECONDS)]


def _found(task: Task, verdict: Verdict, seen: Whereabouts, now: float) -> list[TaskEvent]:
    if verdict.kind is Kind.ORPHANED:
        return [seen.handed_out[task.id].found]
    if task.id in seen.held:
        # A worker does not say which attempt it has; that of the result backend would be stale.
        return [replace(seen.held[task.id], retries=task.retries)]
    queue = seen.queued[task.id]
    return [TaskFound(task_id=task.id, at=now, heard_at=now, queue=queue, retries=task.retries)]
