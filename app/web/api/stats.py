"""Figures of the whole: how many tasks, workers and messages there are, and how well we hear."""

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta, Raw, Struct
from starlette.responses import Response

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.feed.status import encode_status
from app.feed.times import moment
from app.store import queues, tasks, workers
from app.store.database import Database
from app.web.openapi import documented
from app.web.state import umbel_of

router = APIRouter(tags=["stats"])


class QueueTotals(Struct, frozen=True):
    """Messages in all queues together; `unacked` is null where no queue could tell."""

    count: int
    waiting: int
    unacked: int | None


class Stats(Struct, frozen=True, kw_only=True):
    """The whole at a moment. `since` is when hearing began, or ended, and `reason` why."""

    at: str | None
    live: bool
    since: str | None
    reason: str | None
    tasks: dict[str, int]
    workers: dict[str, int]
    queues: QueueTotals
    recorder: Annotated[
        Raw, Meta(description="The active recorder's own figures; null where there is none")
    ]
    streams_open: int


class Totals(Struct, frozen=True):
    """What the store knows of the whole."""

    tasks: dict[TaskState, int]
    workers: dict[WorkerState, int]
    queues: list[tuple[str, int, int | None]]


@router.get("/stats", **documented("Figures of the whole", answers={200: Stats}, problems=(503,)))
async def show_stats(request: Request) -> Response:
    """Tasks by state, workers by state, messages waiting, and the recorder's figures."""
    umbel = umbel_of(request)
    totals = await umbel.reading(read_totals, umbel.db)
    recorder, status = umbel.health.recorder, umbel.tail.recorder
    known = [unacked for _, _, unacked in totals.queues if unacked is not None]
    found = Stats(
        at=moment(time.time()),
        live=recorder.ok,
        since=moment(recorder.since),
        reason=recorder.reason or None,
        tasks={state.value: totals.tasks.get(state, 0) for state in TaskState},
        workers={state.value: totals.workers.get(state, 0) for state in WorkerState},
        queues=QueueTotals(
            count=len(totals.queues),
            waiting=sum(waiting for _, waiting, _ in totals.queues),
            unacked=sum(known) if known else None,
        ),
        recorder=Raw(b"null" if status is None else encode_status(status)),
        streams_open=umbel.streams.open,
    )
    return Response(msgspec.json.encode(found), media_type="application/json")


def read_totals(db: Database) -> Totals:
    """Counts from the store. Raises StoreUnavailable."""
    by_state: dict[WorkerState, int] = {}
    for worker in workers.list_all(db):
        by_state[worker.state] = by_state.get(worker.state, 0) + 1
    measured = [(queue.name, queue.waiting, queue.unacked) for queue in queues.list_all(db)]
    return Totals(tasks.counts(db), by_state, measured)
