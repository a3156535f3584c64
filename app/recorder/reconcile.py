"""The loop that makes good what went unheard, and gives up what nobody has any more.

After a blind window everything is looked at; when a worker comes, goes or begins anew, what it
had; and all the time, a little a minute, tasks that nothing was heard of for a while. A task is
given up when two looks have missed it, with nothing heard of it between.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import structlog

from app.broker.evidence import QUEUE_LIMIT
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.tasks import Task, TaskState
from app.domain.verdict import Patience
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.healing import (
    HEAL_PAUSE_SECONDS,
    LONGEST_HEAL_PAUSE,
    Describe,
    Healing,
    heal_pause,
)
from app.recorder.inspector import Findings, Inspector
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.look import Lookout
from app.recorder.pipeline import Pipeline
from app.recorder.scene import Scene
from app.recorder.turns import Turns
from app.store import unsettled
from app.store.blind_windows import BlindWindow, latest, unhealed
from app.store.database import Database

AT_ONCE = 500
"""Tasks read from the store, and results asked for, at once: some 10 ms of each."""
PAUSE_SECONDS = 0.02
"""Between two such pages: at most 25,000 keys a second, a few per cent of a Redis."""
TASKS_A_ROUND = 20_000
"""Tasks that wait, looked at in one round; the next round goes on behind them."""
MESSAGES_A_ROUND = 10_000
"""Messages of queues read in one round: some 10 MB."""
LOST_SECONDS = 86_400.0
"""Since when tasks were first seen that were given up and are looked for again: as long as
Celery keeps results unless told otherwise."""
LOST_LIMIT = 5_000
"""Of those, the latest so many."""
VALUES_LIMIT = 100_000
"""Tasks, the latest that succeeded, among which those without a value are looked for."""
VALUES_MARGIN_SECONDS = 5.0
"""Around a blind window: a worker's clock is not ours, nor is a result stored when it is said."""
AGAIN_SECONDS = 2.0
"""After a look that failed half way."""
AFTER_GRACE_SECONDS = 0.1
"""Added to the grace, so that the second look is not a moment too early."""
OUT = (TaskState.RECEIVED, TaskState.STARTED, TaskState.PROGRESS, TaskState.RETRY)
"""States in which a worker has it, or had it."""

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()


class Pace(NamedTuple):
    """Seconds. `turn`: between two looks whether a worker came or went. `round`: between two
    looks at tasks that nothing was heard of. `settle`: a healing waits so long for workers to
    answer, or to be found dead, before it says what it could not judge."""

    patience: Patience = Patience()
    turn: float = 0.5
    round: float = 60.0
    settle: float = 30.0


PACE = Pace()


class Reconciler:
    """Compares what is believed with what is there, for ever. `describe` adds to a window's note
    what only others know of it."""

    def __init__(
        self,
        transport: Transport,
        lookout: Lookout,
        pipeline: Pipeline,
        fleet: Fleet,
        keeper: Keeper,
        figures: Figures,
        pace: Pace,
        describe: Describe,
    ) -> None:
        self._lookout = lookout
        self._inspector = Inspector(
            transport,
            lookout.redis,
            lookout.results,
            pipeline,
            fleet,
            keeper,
            figures,
            pace.patience,
        )
        self._pipeline = pipeline
        self._keeper = keeper
        self._figures = figures
        self._pace = pace
        self._describe = describe
        self._healing: Healing | None = None
        self._turns = Turns(fleet)
        self._round_at = time.monotonic() + pace.round
        self._recheck_at: float | None = None
        self._healed_at = -LONGEST_HEAL_PAUSE
        self._heal_pause = HEAL_PAUSE_SECONDS
        self._place = -1
        self._waiting_unjudged: Counter[str] = Counter()

    def heal(self, windows: Sequence[BlindWindow]) -> None:
        """Has everything looked at soon, and these windows closed by it."""
        self._healing = (self._healing or Healing()).also_of(windows)
        self._figures.healing = True
        self._inspector.forget_suspicions()
        for window in windows:
            self._inspector.unheard.add(window)

    async def run(self) -> None:
        """Works for ever. Raises LeaseLost."""
        await self._remember_windows()
        self._turns.begin()
        while True:
            try:
                await self._work()
            except BrokerUnavailable as error:
                log.debug("looking around again", reason=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
            except LeaseLost:
                raise
            except Exception:  # whatever is found must not stop the recorder
                log.exception("looking around failed")
                await asyncio.sleep(AGAIN_SECONDS)
            await asyncio.sleep(self._pace.turn)

    async def _remember_windows(self) -> None:
        """Takes up what an earlier recorder left unhealed."""
        for window in reversed(await self._keeper.insist(latest, self._keeper.db)):
            self._inspector.unheard.add(window)
        if left := await self._keeper.insist(unhealed, self._keeper.db):
            self.heal(left)

    async def _work(self) -> None:
        """The most urgent of what there is to do."""
        now = time.monotonic()
        self._turns.notice(now)
        if not self._figures.subscribed:
            return
        healing = self._healing
        since = now - self._healed_at
        if healing and healing.looked_at is None and since >= self._heal_pause:
            self._healed_at = now
            await self._heal_all(healing)
            self._heal_pause = heal_pause(self._heal_pause, since)
        elif due := self._turns.due(now):
            await self._look_at_workers(due)
        elif healing and healing.looked_at is None:
            return  # what is looked at in a moment anyway
        elif self._recheck_at is not None and self._recheck_at <= now:
            await self._recheck()
        elif self._round_at <= now:
            await self._round()
        self._end_healing()

    # What there is to look at

    async def _heal_all(self, healing: Healing) -> None:
        """Everything, once: what was missed is looked for again, and only then is it healed."""
        healing.findings.unjudged.clear()
        healing.findings.unanswered.clear()
        healing.said = await self._look_around(healing)
        healing.looked_at = time.monotonic()
        self._checked(healing.findings.unchecked)
        self._recheck_at = None
        self._look_again()

    async def _look_around(self, healing: Healing) -> str:
        findings = healing.findings
        said, found = await self._lookout.look_around()
        findings.found += found
        scene = await self._inspector.look(await self._lookout.queue_names(), QUEUE_LIMIT)
        asked = 0
        async for page in self._open_tasks((TaskState.PENDING, *OUT)):
            asked += len(page)
            await self._inspector.check(page, scene, findings)
            await asyncio.sleep(PAUSE_SECONDS)
        await self._look_for_lost(scene, findings)
        for began, ended in healing.spans(VALUES_MARGIN_SECONDS):
            await self._fetch_values(began, ended)
        await self._count_orphans(scene)
        unheard, ends = await self._lookout.find_unheard()
        findings.found += unheard
        findings.ended += ends
        return (
            f"{said} and {asked} open tasks; found {unheard} results of tasks that were never"
            " heard of"
        )

    async def _look_at_workers(self, names: set[str]) -> None:
        """What these workers had: one that came has it still, of one that went it is elsewhere."""
        findings = self._healing.findings if self._healing else Findings()
        scene = await self._inspector.look(await self._lookout.queue_names(), 0)
        async for page in self._open_tasks(OUT):
            had = [task for task in page if task.worker in names]
            if had:
                await self._inspector.check(had, scene, findings)
        await self._look_for_lost(scene, findings)
        await self._count_orphans(scene)
        self._turns.looked_at(names, scene.seen.processes, time.monotonic())
        self._look_again()

    async def _recheck(self) -> None:
        """Those that were missed once, and those whose worker did not answer."""
        self._recheck_at = None
        healing = self._healing
        findings = healing.findings if healing else Findings()
        findings.unanswered.clear()
        limit = QUEUE_LIMIT if healing else MESSAGES_A_ROUND
        ids = [*self._inspector.suspects, *self._inspector.doubtful]
        scene = await self._inspector.look(await self._lookout.queue_names(), limit)
        for at in range(0, len(ids), AT_ONCE):
            some = await self._ask(unsettled.some, ids[at : at + AT_ONCE])
            await self._inspector.check(some, scene, findings)
            gone = set(ids[at : at + AT_ONCE]) - {task.id for task in some}
            self._inspector.forget(gone)
            await asyncio.sleep(PAUSE_SECONDS)
        if healing:
            healing.rechecks += 1
            self._checked(findings.unchecked)
        self._look_again()

    async def _round(self) -> None:
        """All that workers have or had; of what waits and of what was given up, some."""
        self._round_at = time.monotonic() + self._pace.round
        findings = self._healing.findings if self._healing else Findings()
        scene = await self._inspector.look(await self._lookout.queue_names(), MESSAGES_A_ROUND)
        unjudged: Counter[str] = Counter()
        async for page in self._open_tasks(OUT):
            unjudged += await self._check(page, scene, findings)
        unjudged += await self._look_at_waiting(scene, findings)
        await self._look_for_lost(scene, findings)
        await self._count_orphans(scene)
        if self._lookout.unheard_left:
            await self._lookout.find_unheard(anew=False)
        self._checked(unjudged)
        self._look_again()

    async def _look_at_waiting(self, scene: Scene, findings: Findings) -> Counter[str]:
        """The next of those that wait; a queue can hold a million."""
        left = TASKS_A_ROUND
        while left > 0:
            page = await self._ask(unsettled.in_states, (TaskState.PENDING,), AT_ONCE, self._place)
            if self._place == -1:
                self._waiting_unjudged = Counter()
            # What lies in its queue has no result, unless it was revoked there: that is said.
            missed = [task for task in page if task.id not in scene.seen.queued]
            self._waiting_unjudged += await self._check(missed, scene, findings)
            left -= len(page)
            self._place = page[-1].seq if len(page) == AT_ONCE else -1
            if self._place == -1:
                break
        return self._waiting_unjudged

    async def _check(self, page: Sequence[Task], scene: Scene, findings: Findings) -> Counter[str]:
        of_page = Findings()
        await self._inspector.check(page, scene, of_page)
        findings.found += of_page.found
        findings.ended += of_page.ended
        findings.lost += of_page.lost
        await asyncio.sleep(PAUSE_SECONDS)
        return of_page.unchecked

    async def _count_orphans(self, scene: Scene) -> None:
        await self._inspector.count_orphans(scene)
        self._lookout.orphans = self._inspector.orphans

    async def _look_for_lost(self, scene: Scene, findings: Findings) -> None:
        """Given up, and perhaps not lost: the truth can come to light a day later."""
        since, before, seen = time.time() - LOST_SECONDS, None, 0
        while seen < LOST_LIMIT:
            page = await self._ask(unsettled.lost_since, since, AT_ONCE, before)
            if page:
                await self._inspector.check(page, scene, findings)
            if len(page) < AT_ONCE:
                return
            seen += len(page)
            before = page[-1].seq
            await asyncio.sleep(PAUSE_SECONDS)

    async def _fetch_values(self, began: float, ended: float) -> None:
        """Values of tasks whose end was heard by an event, which does not carry them."""
        before: int | None = None
        for _ in range(0, VALUES_LIMIT, AT_ONCE):
            ids, before = await self._ask(unsettled.without_value, began, ended, AT_ONCE, before)
            if ids:
                await self._inspector.learn(ids)
            if before is None:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _open_tasks(self, states: Sequence[TaskState]) -> AsyncIterator[list[Task]]:
        place = -1
        while page := await self._ask(unsettled.in_states, states, AT_ONCE, place):
            place = page[-1].seq
            yield page

    # When to look, and when it is done

    def _look_again(self) -> None:
        """After the grace, for those that were missed or could not be told."""
        # One who does not answer for longer is asked again in the rounds.
        doubtful = self._inspector.doubtful if self._healing else ()
        if (self._inspector.suspects or doubtful) and self._recheck_at is None:
            self._recheck_at = time.monotonic() + self._pace.patience.grace + AFTER_GRACE_SECONDS

    def _checked(self, unjudged: Counter[str]) -> None:
        self._figures.checked_at = time.time()
        self._figures.unchecked = unjudged.total()
        most = unjudged.most_common(1)
        self._figures.unchecked_reason = most[0][0] if most else ""

    def _end_healing(self) -> None:
        """Says that windows are healed, once all that was missed has been looked for again."""
        healing = self._healing
        if healing is None or healing.looked_at is None:
            return
        waiting = bool(self._inspector.suspects) and healing.rechecks == 0
        asking = bool(self._inspector.doubtful)
        if (waiting or asking) and time.monotonic() - healing.looked_at < self._pace.settle:
            return
        self._healing = None
        self._figures.healing = False
        log.info("looked around", seen=healing.said, windows=len(healing.windows))
        for window in healing.healed(time.time(), self._describe):
            self._pipeline.note(window)

    async def _ask(
        self, read: Callable[Concatenate[Database, P], T], *args: P.args, **more: P.kwargs
    ) -> T:
        return await self._keeper.insist(partial(read, self._keeper.db, *args, **more))
