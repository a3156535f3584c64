"""How a worker changes after an event."""

from dataclasses import replace
from typing import TypeVar

from app.domain.events import (
    WorkerEvent,
    WorkerHeartbeat,
    WorkerLost,
    WorkerOffline,
    WorkerReported,
)
from app.domain.workers import Worker, WorkerState

SAME_START = 5.0
"""Seconds that two beginnings of one process may lie apart: it says its age in whole seconds, and
its answer takes its time."""

T = TypeVar("T")


def reduce_worker(worker: Worker | None, event: WorkerEvent) -> Worker:
    """The worker as believed after `event`; a new one where it is the first word of it."""
    if worker is None:
        worker = Worker(name=event.worker, since=event.at, heard_at=event.heard_at)
    match event:
        case WorkerHeartbeat():
            return _heard(worker, event)
        case WorkerOffline():
            return _gone(worker, WorkerState.OFFLINE, event.at, event.heard_at)
        case WorkerLost():
            return _gone(worker, WorkerState.LOST, event.at, worker.heard_at)
        case WorkerReported():
            return _reported(worker, event)


def _heard(worker: Worker, event: WorkerHeartbeat) -> Worker:
    restarted = event.online or (event.pid is not None and event.pid != worker.pid)
    if worker.state is not WorkerState.ONLINE or (restarted and worker.pid is not None):
        if worker.state is WorkerState.OFFLINE and not restarted:
            # The last heartbeat of a worker that is shutting down can overtake its goodbye.
            return replace(worker, heard_at=event.heard_at)
        worker = Worker(name=worker.name, since=event.at, catalog=worker.catalog)
    return replace(
        worker,
        heard_at=event.heard_at,
        skew=event.at - event.heard_at,
        pid=_or(event.pid, worker.pid),
        active=_or(event.active, worker.active),
        processed=_or(event.processed, worker.processed),
        loadavg=event.loadavg or worker.loadavg,
        frequency=_or(event.frequency, worker.frequency),
        software=event.software or worker.software,
    )


def _gone(worker: Worker, state: WorkerState, at: float, heard_at: float) -> Worker:
    if worker.state is state:
        return worker
    return replace(worker, state=state, since=at, heard_at=heard_at, active=None)


def _reported(worker: Worker, event: WorkerReported) -> Worker:
    since = worker.since if worker.state is WorkerState.ONLINE else event.at
    return replace(
        worker,
        state=WorkerState.ONLINE,
        since=since,
        heard_at=event.heard_at,
        pid=_or(event.pid, worker.pid),
        pool=event.pool or worker.pool,
        concurrency=_or(event.concurrency, worker.concurrency),
        prefetch=_or(event.prefetch, worker.prefetch),
        queues=worker.queues if event.queues is None else event.queues,
        catalog=worker.catalog if event.catalog is None else event.catalog,
        started_at=_began(worker.started_at, event.started_at),
    )


def _began(known: float | None, told: float | None) -> float | None:
    """The same moment comes out a little different each time that a worker says its age."""
    if known is None or told is None:
        return _or(told, known)
    return known if abs(known - told) < SAME_START else told


def _or(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
