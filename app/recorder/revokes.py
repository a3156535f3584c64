"""Revokes that hold: every worker that comes is told of them.

Workers forget revokes when they restart. So the ledger of what people asked for is told to each
worker until it has answered; `sweep` takes the messages away.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog

from app.broker import mingle, revokes
from app.broker.connection import connect
from app.broker.control import ask_all
from app.broker.revokes import Revoke
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.workers import Worker, WorkerState
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.sweep import Sweep

LOOK_SECONDS = 2.0
"""Between two looks at who is there and what is new in the ledger: three short questions."""
SWEEP_SECONDS = 60.0
"""Between two searches of queues for messages of revoked tasks, while no worker comes or goes."""
TOLD_AT_ONCE = 500
"""Revokes of one command: a worker asks its result backend about each before it goes on."""
ANSWER_SECONDS = (0.2, 0.5, 1.0, 2.0)
"""Patience for an answer, try by try: a worker that comes is not at its control queue yet, and
a solo worker answers after its task. The last one for as long as the worker is there."""
TASK_SECONDS = 0.002
"""More patience for each task that is told of."""
AGAIN_SECONDS = (0.0, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Pauses between those tries."""
LISTEN_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class Revokes:
    """Keeps what people asked for true, while this recorder is the active one."""

    def __init__(
        self, transport: Transport, fleet: Fleet, keeper: Keeper, figures: Figures
    ) -> None:
        self._transport = transport
        self._fleet = fleet
        self._figures = figures
        self._redis = connect(transport.url)
        self._called = asyncio.Event()
        self._ended: set[str] = set()
        self._told: dict[str, tuple[float, float]] = {}
        self._silent: set[str] = set()
        self._tries = 0
        self._again_at = 0.0
        self._heard_since = 0.0
        self._there: frozenset[tuple[str, float]] = frozenset()
        self._swept_at = 0.0
        self._sweep = Sweep(transport, self._redis, fleet, keeper)

    def greet(self) -> None:
        """A worker came online: it is told what is revoked."""
        self._tries, self._again_at = 0, 0.0
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
        await self._tell_all(workers)
        there = frozenset((worker.name, worker.since) for worker in workers)
        due = time.monotonic() - self._swept_at >= SWEEP_SECONDS
        if due or there != self._there:
            await self._sweep.run(workers)
            self._there, self._swept_at = there, time.monotonic()
        if not self._silent:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.0, self._again_at - time.monotonic()))

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

    async def _tell_all(self, workers: Iterable[Worker]) -> None:
        """Tells everybody; who was silent before only when it is their turn again."""
        since = {worker.name: worker.since for worker in workers}
        self._told = {name: told for name, told in self._told.items() if told[0] == since.get(name)}
        due = time.monotonic() >= self._again_at
        wanted = set(since) if due else since.keys() - self._silent
        silent = await self._tell({name: since[name] for name in wanted})
        if due:
            self._silent, self._tries = silent, self._tries + 1 if silent else 0
            self._again_at = time.monotonic() + _of(AGAIN_SECONDS, self._tries)
        elif silent:
            self._silent |= silent
            self._tries, self._again_at = 1, time.monotonic()

    async def _tell(self, since: Mapping[str, float]) -> set[str]:
        """Tells each worker what it has not answered for yet; who has not answered."""
        behind: dict[float, set[str]] = {}
        for name in since:
            behind.setdefault(self._told.get(name, (0.0, 0.0))[1], set()).add(name)
        silent: set[str] = set()
        for after, names in behind.items():
            waiting = names
            async for page in revokes.read_revokes(self._redis, self._transport, after):
                if page and waiting:
                    waiting = waiting & await self._send(page, waiting)
                    self._told |= {name: (since[name], page[-1].at) for name in waiting}
            silent |= names - waiting
        return silent

    async def _send(self, page: list[Revoke], names: set[str]) -> set[str]:
        """Who of these workers has answered for all of the page."""
        kinds: dict[tuple[bool, str], list[str]] = {}
        for revoke in page:
            kind = (revoke.terminate, revoke.signal or "SIGTERM")
            kinds.setdefault(kind, []).append(revoke.task_id)
        patience = _of(ANSWER_SECONDS, self._tries) + TASK_SECONDS * len(page)
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


def _of(steps: tuple[float, ...], number: int) -> float:
    return steps[min(number, len(steps) - 1)]
