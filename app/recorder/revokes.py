"""Revokes that hold: told to every worker that comes, and their messages taken back.

Workers forget revokes when they restart, and give back the messages that they held. So the
ledger of what people asked for is told to each worker until it has answered, and what came
back to a queue, or was left behind by a worker that is gone, is taken away before it runs.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog

from app.broker import mingle, revokes
from app.broker.answers import read_held, read_ids
from app.broker.connection import connect
from app.broker.control import ask_all
from app.broker.revoked_result import store_revoked
from app.broker.revokes import Revoke
from app.broker.transport import Transport
from app.broker.withdraw import Orphan, Withdrawn, find_handed_out, withdraw, withdraw_orphans
from app.domain.errors import BrokerUnavailable
from app.domain.tasks import Task, TaskState
from app.domain.workers import Worker, WorkerState
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper, LeaseLost
from app.store.tasks import get_many

LOOK_SECONDS = 2.0
"""Between two looks at who is there and what is new in the ledger: three short questions."""
SWEEP_SECONDS = 60.0
"""Between two searches of queues for messages of revoked tasks, while no worker comes or goes."""
TOLD_AT_ONCE = 500
"""Revokes of one command: a worker asks its result backend about each before it goes on."""
ANSWER_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Patience for an answer, try by try: a worker that comes is not at its control queue yet, and
a solo worker answers after its task. The last one for as long as the worker is there."""
UNANSWERED_SECONDS = (0.0, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Pauses between those tries."""
HELD_SECONDS = 2.0
"""Patience for what workers hold."""
ORPHAN_SECONDS = 10.0
"""A message that was handed out a moment ago may be on its way into its worker's books."""
LISTEN_AGAIN_SECONDS = 1.0

ENDED_BY_WORKER = frozenset({TaskState.SUCCESS, TaskState.FAILURE, TaskState.REJECTED})

log = structlog.get_logger()


class Revokes:
    """Keeps what people asked for true, while this recorder is the active one."""

    def __init__(
        self, transport: Transport, fleet: Fleet, keeper: Keeper, figures: Figures
    ) -> None:
        self._transport = transport
        self._fleet = fleet
        self._keeper = keeper
        self._figures = figures
        self._redis = connect(transport.url)
        self._called = asyncio.Event()
        self._ended: set[str] = set()
        self._told: dict[str, tuple[float, float]] = {}
        self._tries = 0
        self._heard_since = 0.0
        self._there: frozenset[tuple[str, float]] = frozenset()
        self._swept_at = 0.0
        self._nowhere: set[str] = set()

    def greet(self) -> None:
        """A worker came online: it is told what is revoked."""
        self._tries = 0
        self._called.set()

    def hear(self, task_ids: Iterable[str]) -> None:
        """A worker says of these tasks that they are revoked: they are out of its hands."""
        self._ended.update(task_ids)
        self._called.set()

    async def hold(self) -> None:
        """Has all workers know what is revoked, for ever. Raises LeaseLost."""
        while True:
            pause = LOOK_SECONDS
            try:
                pause = await self._look()
            except BrokerUnavailable as error:
                log.debug("revokes not told", reason=str(error))
            except LeaseLost:
                raise
            except Exception:  # whatever a worker answers must not stop the recorder
                log.exception("revokes not told")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._called.wait()
            self._called.clear()

    async def answer_hellos(self) -> None:
        """Tells workers that start before their first message, for ever."""
        while True:
            try:
                async for hello in mingle.hear_hellos(self._redis, self._transport):
                    if revoked := await revokes.revoked_ids(self._redis, self._transport):
                        await mingle.answer_hello(self._redis, self._transport, hello, revoked)
                        log.info("told what is revoked", worker=hello.worker, tasks=len(revoked))
            except BrokerUnavailable as error:
                log.debug("hellos not heard", reason=str(error))
            except Exception:  # whatever comes on the control channel must not stop the recorder
                log.exception("hellos not heard")
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()

    async def _look(self) -> float:
        """One round; how many seconds there are until the next one at the latest."""
        await self._forget()
        if not await revokes.count_revokes(self._redis, self._transport):
            return LOOK_SECONDS
        if self._heard_since != self._figures.subscribed_at:
            # We were blind, or Redis was: nobody knows who came meanwhile.
            self._heard_since = self._figures.subscribed_at
            self._told.clear()
        workers = self._online()
        answered = await self._tell(workers)
        there = frozenset((worker.name, worker.since) for worker in workers)
        due = time.monotonic() - self._swept_at >= SWEEP_SECONDS
        if due or there != self._there:
            await self._sweep()
            self._there, self._swept_at = there, time.monotonic()
        self._tries = 0 if answered else self._tries + 1
        return LOOK_SECONDS if answered else _of(UNANSWERED_SECONDS, self._tries)

    async def _forget(self) -> None:
        ended, self._ended = self._ended, set()
        try:
            await revokes.forget(self._redis, self._transport, sorted(ended))
        except BrokerUnavailable:
            self._ended |= ended
            raise

    def _online(self) -> list[Worker]:
        found = self._fleet.workers.values()
        return [worker for worker in found if worker.state is WorkerState.ONLINE]

    async def _tell(self, workers: Iterable[Worker]) -> bool:
        """Tells each worker what it has not answered for yet; whether all have answered."""
        since = {worker.name: worker.since for worker in workers}
        self._told = {
            name: self._told[name]
            for name in since
            if name in self._told and self._told[name][0] == since[name]
        }
        behind: dict[float, set[str]] = {}
        for name in since:
            behind.setdefault(self._told.get(name, (0.0, 0.0))[1], set()).add(name)
        complete = True
        for after, names in behind.items():
            waiting = set(names)
            async for page in revokes.read_revokes(self._redis, self._transport, after):
                if page and waiting:
                    waiting &= await self._send(page, waiting)
                    self._told |= {name: (since[name], page[-1].at) for name in waiting}
            complete = complete and waiting == names
        return complete

    async def _send(self, page: list[Revoke], names: set[str]) -> set[str]:
        """Who of these workers has answered for all of the page."""
        kinds: dict[tuple[bool, str], list[str]] = {}
        for revoke in page:
            kind = (revoke.terminate, revoke.signal or "SIGTERM")
            kinds.setdefault(kind, []).append(revoke.task_id)
        patience = _of(ANSWER_SECONDS, self._tries)
        for (terminate, signal), task_ids in kinds.items():
            answers, _ = await ask_all(
                self._redis,
                self._transport,
                "revoke",
                {"task_id": task_ids, "terminate": terminate, "signal": signal},
                destination=sorted(names),
                timeout=patience,
            )
            # One that can't terminate says so, and has taken note of the revoke all the same.
            names = names & answers.keys()
            if not names:
                break
        return names

    async def _sweep(self) -> None:
        """Takes back what would run, and forgets what never will."""
        if pruned := await revokes.prune_revokes(self._redis, self._transport):
            log.warning("revokes that no worker ever spoke of are forgotten", tasks=pruned)
        open_revokes: dict[str, Revoke] = {}
        async for page in revokes.read_revokes(self._redis, self._transport):
            open_revokes |= {revoke.task_id: revoke for revoke in page}
        known = await self._known(list(open_revokes))
        over = [name for name, task in known.items() if task.state in ENDED_BY_WORKER]
        await revokes.forget(self._redis, self._transport, over)
        wanted = open_revokes.keys() - set(over)
        if not wanted:
            return
        queues = self._fleet.queue_names() | {self._transport.default_queue}
        queues |= {queue for revoke in open_revokes.values() if (queue := revoke.queue)}
        found = await withdraw(self._redis, self._transport, wanted, sorted(queues))
        handed_out = await find_handed_out(self._redis, self._transport, wanted)
        orphans = await self._orphans(handed_out.orphans)
        taken = found.taken + orphans
        await store_revoked(self._transport, taken)
        if taken:
            log.info("messages of revoked tasks taken back", tasks=len(taken))
        left = found.left | handed_out.left
        if found.complete and handed_out.complete:
            await self._settle(wanted - {one.task_id for one in taken} - left, known)

    async def _settle(self, nowhere: set[str], known: Mapping[str, Task]) -> None:
        """Forgets what is revoked by a worker's word, though we missed the event that its message
        is gone: it is nowhere now, and was nowhere at the last sweep."""
        over = {
            task_id
            for task_id in nowhere
            if task_id in known and known[task_id].state is TaskState.REVOKED
        }
        await revokes.forget(self._redis, self._transport, sorted(over & self._nowhere))
        self._nowhere = over

    async def _orphans(self, handed_out: list[Orphan]) -> list[Withdrawn]:
        """Takes back messages whose workers are gone: everybody who is there says what it holds,
        and nobody holds these."""
        held = await self._held({one.message.headers.id for one in handed_out})
        if held is None:
            return []
        orphans = [one for one in handed_out if one.message.headers.id not in held]
        before = time.time() - ORPHAN_SECONDS
        return await withdraw_orphans(self._redis, self._transport, orphans, before)

    async def _held(self, task_ids: set[str]) -> set[str] | None:
        """Which of these tasks workers hold; None where somebody who is there did not say."""
        if not task_ids:
            return set()
        found, complete = await self._ask("query_task", {"ids": sorted(task_ids)})
        # Before 5.7 that leaves out tasks that wait in a worker until they are due.
        scheduled, complete_too = await self._ask("scheduled", {})
        later = read_held({}, {}, scheduled, time.time())
        if not (complete and complete_too):
            return None
        return read_ids(found) | {task.task_id for task in later}

    async def _ask(
        self, method: str, arguments: Mapping[str, object]
    ) -> tuple[dict[str, str], bool]:
        answers, complete = await ask_all(
            self._redis, self._transport, method, arguments, timeout=HELD_SECONDS
        )
        return answers, complete and answers.keys() >= {worker.name for worker in self._online()}

    async def _known(self, task_ids: list[str]) -> dict[str, Task]:
        found: dict[str, Task] = {}
        for start in range(0, len(task_ids), TOLD_AT_ONCE):
            some = task_ids[start : start + TOLD_AT_ONCE]
            found |= await self._keeper.insist(get_many, self._keeper.db, some)
        return found


def _of(steps: tuple[float, ...], number: int) -> float:
    return steps[min(number, len(steps) - 1)]
