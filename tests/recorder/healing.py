"""A recorder that looks around often, and a stock application whose workers die."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery

from app.broker.transport import Transport
from app.domain.tasks import Task
from app.domain.verdict import Patience
from app.domain.workers import WorkerState
from app.recorder import Recorder
from app.recorder.reconcile import Pace
from app.store import blind_windows, workers
from app.store.blind_windows import BlindWindow
from tests.recorder.support import RETENTION, Recording
from tests.stock.workers import start_stock_worker
from tests.support import Process, eventually_async

QUICK = Pace(Patience(grace=1.0, drain=3.0), turn=0.1, round=1.0, settle=20.0)
"""The same rules, sooner."""


class QuickRecording(Recording):
    """A recorder whose rounds come every second."""

    pace = QUICK
    retention = RETENTION

    def _recorder(self) -> Recorder:
        return Recorder(
            self.transport,
            database_url=self.database_url,
            redis_url=self.url,
            retention=self.retention,
            pace=self.pace,
        )

    async def pause(self) -> None:
        """Stops the recorder; the store can still be read."""
        self.recorder.stop()
        assert self.running is not None
        await self.running
        self.running = None

    async def told(self, task_id: str, true: Callable[[Task], object]) -> Task:
        """The task, once that is true of it."""

        async def so() -> Task:
            task = await self.task(task_id)
            assert task is not None, f"{task_id} was never heard of"
            assert true(task), task
            return task

        return await eventually_async(so, 60)

    async def looked_around(self) -> None:
        """Returns after a round that began later than now."""
        for _ in range(2):
            before = await self.checked_at()

            async def again(before: float = before) -> bool:
                return await self.checked_at() > before

            await eventually_async(again)

    async def checked_at(self) -> float:
        status = await self.status()
        return status.checked_at or 0.0 if status is not None else 0.0

    async def worker_is(self, name: str, state: WorkerState) -> None:
        async def so() -> bool:
            assert self.db is not None
            found = await asyncio.to_thread(workers.get, self.db, name)
            return found is not None and found.state is state

        await eventually_async(so, 60)

    async def healed(self, cause: str) -> BlindWindow:
        """The latest window of that cause, once it is healed."""

        async def so() -> BlindWindow | None:
            assert self.db is not None
            found = await asyncio.to_thread(blind_windows.latest, self.db)
            of_cause = [window for window in found if window.cause == cause]
            return of_cause[0] if of_cause and of_cause[0].healed_at is not None else None

        found = await eventually_async(so, 60)
        assert found is not None
        return found


def quick(url: str, folder: Path) -> QuickRecording:
    return QuickRecording(Transport.from_options(url), folder)


async def start_stock(url: str, folder: Path, *options: str, **more: object) -> Process:
    """A stock worker, started without holding up the recorder in this loop."""
    name = str(more.pop("name", "w1"))
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    return await asyncio.to_thread(
        start_stock_worker,
        url,
        log,
        *options,
        name=name,
        **more,  # type: ignore[arg-type]
    )


def freeze(process: Process) -> None:
    """The worker and its pool stand still, as a machine that was suspended."""
    os.killpg(process.pid, signal.SIGSTOP)


def thaw(process: Process) -> None:
    os.killpg(process.pid, signal.SIGCONT)


def producer(url: str, **conf: object) -> Celery:
    """An application that only sends."""
    application = Celery("stock", broker=url, set_as_current=False)
    application.conf.update(task_send_sent_event=True, **conf)
    return application


async def clock_is_past(moment: float) -> None:
    """Waits until it is, in seconds since the epoch."""
    await asyncio.sleep(max(0.0, moment - time.time()))
