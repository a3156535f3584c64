"""Workers and queues as believed, and which of them have news that people should see."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.domain.events import QueueMeasured, WorkerEvent
from app.domain.queues import Queue
from app.domain.reduce_worker import reduce_worker
from app.domain.tasks import Task
from app.domain.workers import Worker, WorkerState

LOAD_SECONDS = 5.0
"""Counts of a busy worker change with each heartbeat; people read them once in a while."""
ALIVE_SECONDS = 10.0
"""A worker, or a queue, of which nothing changes but that it is still so."""
FLEET_LIMIT = 5_000
"""Workers, and queues: names made up by hostile events must not fill memory and pages."""


class Fleet:
    """All workers and queues that are known. Bounded: see FLEET_LIMIT."""

    def __init__(self, workers: Iterable[Worker], queues: Iterable[Queue]) -> None:
        self.workers = {worker.name: worker for worker in workers}
        self.queues = {queue.name: queue for queue in queues}
        self._told = dict(self.workers)
        self._told_at: dict[str, float] = {}
        self._touched: set[str] = set()
        self._news: dict[str, Queue] = {}
        self._named: set[str] = set()
        self._measured_at: dict[str, float] = {}

    def hear(self, event: WorkerEvent) -> bool:
        """Believes what is said of a worker; False if there are too many to take another."""
        known = self.workers.get(event.worker)
        if known is None and len(self.workers) >= FLEET_LIMIT:
            return False
        self.workers[event.worker] = reduce_worker(known, event)
        self._touched.add(event.worker)
        return True

    def measure(self, event: QueueMeasured, heads: Mapping[str, Task]) -> bool:
        """Believes a measured queue; `heads` are the known ones of its next messages."""
        known = self.queues.get(event.queue)
        if known is None and len(self.queues) >= FLEET_LIMIT:
            return False
        oldest = _oldest(event, heads)
        queue = Queue(
            name=event.queue,
            measured_at=event.at,
            depths=event.depths,
            unacked=event.unacked,
            oldest_id=None if oldest is None else oldest.id,
            oldest_sent_at=None if oldest is None else _sent(oldest),
            consumers=self._consumers(event.queue),
            orphans=event.orphans,
            redelivery_at=event.redelivery_at,
        )
        changed = known is None or replace(known, measured_at=event.at) != queue
        if changed or event.at - self._measured_at.get(event.queue, 0.0) >= ALIVE_SECONDS:
            self._news[event.queue] = queue
            self._measured_at[event.queue] = event.at
        self.queues[event.queue] = queue
        return True

    def hear_of(self, tasks: Iterable[Task]) -> None:
        """Takes note of the queues that tasks were sent to: nobody need read them yet."""
        for task in tasks:
            name = task.queue
            if name is not None and name not in self.queues and len(self._named) < FLEET_LIMIT:
                self._named.add(name)

    def queue_names(self) -> set[str]:
        """Queues that were measured before, that tasks were sent to, that online workers read."""
        read = {name for worker in self._online() for name in worker.queues or ()}
        return read | self._named | self.queues.keys()

    def take_workers(self, now: float) -> list[Worker]:
        """Workers with news that are due: at once, or after a while for counts alone."""
        due: list[Worker] = []
        for name in sorted(self._touched):
            worker, told = self.workers[name], self._told.get(name)
            if now - self._told_at.get(name, 0.0) >= _patience(worker, told):
                due.append(worker)
                self._told[name] = worker
                self._told_at[name] = now
        self._touched.difference_update(worker.name for worker in due)
        return due

    def take_queues(self) -> list[Queue]:
        """Queues that look otherwise than at the last call."""
        news, self._news = self._news, {}
        return list(news.values())

    def silent(self, now: float, heartbeats: float, unheard_seconds: float) -> list[str]:
        """Online workers that were not heard for so many of their own heartbeats.

        One that never sent a heartbeat counts as silent after `unheard_seconds`.
        """
        return [
            worker.name
            for worker in self._online()
            if now - worker.heard_at
            > (heartbeats * worker.frequency if worker.frequency else unheard_seconds)
        ]

    def online(self) -> list[str]:
        """Names of the workers that are there."""
        return [worker.name for worker in self._online()]

    def strangers(self) -> bool:
        """An online worker has not said yet what it is."""
        return any(worker.pool is None for worker in self._online())

    def _online(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.state is WorkerState.ONLINE]

    def _consumers(self, queue: str) -> tuple[str, ...]:
        readers = (worker.name for worker in self._online() if queue in (worker.queues or ()))
        return tuple(sorted(readers))


def _patience(worker: Worker, told: Worker | None) -> float:
    if told is None or _looks(worker) != _looks(told):
        return 0.0
    if (worker.active, worker.processed) != (told.active, told.processed):
        return LOAD_SECONDS
    return ALIVE_SECONDS


def _looks(worker: Worker) -> Worker:
    """What people see change at once; the rest is counts and signs of life."""
    return replace(worker, heard_at=0.0, skew=None, active=None, processed=None, loadavg=())


def _oldest(event: QueueMeasured, heads: Mapping[str, Task]) -> Task | None:
    known = [heads[task_id] for task_id in event.head_ids if task_id in heads]
    return min(known, key=_sent, default=None)


def _sent(task: Task) -> float:
    return task.seen_at if task.sent_at is None else task.sent_at
