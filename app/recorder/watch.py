"""Workers that fell silent: asked once more, and believed lost if they do not answer."""

import asyncio
import time

import structlog

from app.broker.connection import connect
from app.broker.control import ping
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.events import WorkerEvent, WorkerLost, WorkerReported
from app.recorder.figures import Figures
from app.recorder.fleet import Fleet
from app.recorder.pipeline import Pipeline

LOST_WITHIN_SECONDS = 10.0
"""Of a worker's death it is known to be dead, with Celery's own heartbeat of 2 s: three of those
missed, a look, and a ping in vain. After that, what it ran is given up at once."""
LOOK_SECONDS = 0.5
HEARTBEATS_MISSED = 3.0
"""Celery itself calls a worker offline after two; one more, as a pool without threads is busy."""
UNHEARD_SECONDS = 90.0
"""A worker that sends no heartbeats is asked once a minute; after this it must have answered."""
SETTLE_SECONDS = 10.0
"""After a subscription opens, workers get this long to be heard again: their own reconnection
takes 2 s a try."""
PING_SECONDS = 2.0

log = structlog.get_logger()


async def watch(transport: Transport, fleet: Fleet, pipeline: Pipeline, figures: Figures) -> None:
    """Looks for silent workers for ever, while we can hear at all."""
    redis = connect(transport.url)
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.time()
            if not figures.subscribed or now - figures.subscribed_at < SETTLE_SECONDS:
                continue
            silent = fleet.silent(now, HEARTBEATS_MISSED, UNHEARD_SECONDS)
            if not silent:
                continue
            try:
                answered = await ping(redis, transport, silent, PING_SECONDS)
            except BrokerUnavailable as error:
                log.debug("silent workers not asked", reason=str(error))
                continue
            # Only who was silent before *and* after the ping is lost.
            still = set(fleet.silent(time.time(), HEARTBEATS_MISSED, UNHEARD_SECONDS))
            await pipeline.tell(
                [_found(name, name in answered) for name in silent if name in still]
            )
    finally:
        await redis.aclose()


def _found(worker: str, answered: bool) -> WorkerEvent:
    now = time.time()
    if answered:
        return WorkerReported(worker=worker, at=now, heard_at=now)
    log.warning("worker lost: it is silent and does not answer", worker=worker)
    return WorkerLost(worker=worker, at=now, heard_at=now)
