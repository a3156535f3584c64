"""Figures of the whole: how many tasks, workers and messages there are, and how well we hear."""

import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta, Raw, Struct
from starlette.responses import Response

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.feed.replicas import Replica
from app.feed.status import encode_status
from app.feed.times import moment
from app.store import queues, tasks, workers
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.stories import Stories
from app.web import figures
from app.web.api.figures import PARAMETERS, FiguresJson, asked_of, figures_json
from app.web.openapi import documented
from app.web.state import umbel_of

router = APIRouter(tags=["stats"])


class QueueTotals(Struct, frozen=True):
    """Messages in all queues together; `unacked` is null where no queue could tell."""

    count: int
    waiting: int
    unacked: int | None


class ReplicaJson(Struct, frozen=True):
    """One process of Umbel on this feed. `leads`: it is the recorder that records."""

    name: str
    role: str
    leads: bool
    host: str
    pid: int
    version: str
    started_at: str | None
    at: str | None


class BlindWindowJson(Struct, frozen=True, kw_only=True):
    """A time in which events went unheard; `ended_at` null: it lasts. `healed_at` null: not made
    good yet. `found`, `ended` and `lost` are tasks that healing first heard of, learned the end
    of, and gave up; `note` is what else it has to say."""

    began_at: str | None
    ended_at: str | None
    seconds: float | None
    cause: str
    source: str
    healed_at: str | None
    found: int | None
    ended: int | None
    lost: int | None
    note: str | None


class StoriesJson(Struct, frozen=True, kw_only=True):
    """Tasks that ended since then, and of how many the story is known from beginning to end.
    `share` is of 1, null where nothing ended; `lost` of the ended were given up."""

    since: str | None
    ended: int
    whole: int
    share: float | None
    lost: int


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
    stories: Annotated[StoriesJson, Meta(description="Of the last 24 hours")]
    stories_of_last_hour: StoriesJson
    lost_reasons: Annotated[
        dict[str, int],
        Meta(description="Why tasks were given up in the last 24 hours, of the latest 500"),
    ]
    blind_windows: Annotated[list[BlindWindowJson], Meta(description="The latest 20")]
    replicas: Annotated[
        list[ReplicaJson] | None,
        Meta(description="The leading recorder first; null where Redis does not tell"),
    ]
    streams_open: int
    figures: Annotated[
        FiguresJson | None,
        Meta(description="What ended; null where no parameter asks for it"),
    ]


class Totals(Struct, frozen=True):
    """What the store knows of the whole."""

    tasks: dict[TaskState, int]
    workers: dict[WorkerState, int]
    queues: list[tuple[str, int, int | None]]


@router.get(
    "/stats",
    **documented(
        "Figures of the whole", answers={200: Stats}, problems=(422, 503), parameters=PARAMETERS
    ),
)
async def show_stats(request: Request) -> Response:
    """Tasks by state, workers by state, messages waiting, and how much of all is known; with any
    parameter also what ended in a time, how much of it failed and how long it took."""
    umbel = umbel_of(request)
    asked = asked_of(request.query_params.multi_items())
    ended = None if asked is None else await umbel.reading(figures.read, umbel.db, asked)
    totals = await umbel.reading(read_totals, umbel.db)
    known = await umbel.quality.read()
    recorder, status = umbel.health.recorder, umbel.tail.recorder
    found = Stats(
        at=moment(time.time()),
        live=recorder.ok,
        since=moment(recorder.since),
        reason=recorder.reason or None,
        tasks={state.value: totals.tasks.get(state, 0) for state in TaskState},
        workers={state.value: totals.workers.get(state, 0) for state in WorkerState},
        queues=_sum(totals.queues),
        recorder=Raw(b"null" if status is None else encode_status(status)),
        stories=_stories(known.day),
        stories_of_last_hour=_stories(known.hour),
        lost_reasons=dict(known.reasons),
        blind_windows=[_window(window) for window in known.windows],
        replicas=_replicas(umbel.tail.replicas),
        streams_open=umbel.streams.open,
        figures=None if ended is None else figures_json(ended),
    )
    return Response(msgspec.json.encode(found), media_type="application/json")


def _sum(queues: list[tuple[str, int, int | None]]) -> QueueTotals:
    told = [unacked for _, _, unacked in queues if unacked is not None]
    waiting = sum(waiting for _, waiting, _ in queues)
    return QueueTotals(len(queues), waiting, sum(told) if told else None)


def _stories(found: Stories) -> StoriesJson:
    return StoriesJson(
        since=moment(found.since),
        ended=found.ended,
        whole=found.whole,
        share=None if found.share is None else round(found.share, 4),
        lost=found.lost,
    )


def _window(window: BlindWindow) -> BlindWindowJson:
    lasted = None if window.ended_at is None else max(0.0, window.ended_at - window.began_at)
    return BlindWindowJson(
        began_at=moment(window.began_at),
        ended_at=moment(window.ended_at),
        seconds=None if lasted is None else round(lasted, 3),
        cause=window.cause,
        source=window.source,
        healed_at=moment(window.healed_at),
        found=window.found,
        ended=window.ended,
        lost=window.lost,
        note=window.note,
    )


def _replicas(found: Sequence[Replica] | None) -> list[ReplicaJson] | None:
    if found is None:
        return None
    return [
        ReplicaJson(
            each.name,
            each.role,
            each.leads,
            each.host,
            each.pid,
            each.version,
            moment(each.started_at),
            moment(each.at),
        )
        for each in found
    ]


def read_totals(db: Database) -> Totals:
    """Counts from the store. Raises StoreUnavailable."""
    by_state: dict[WorkerState, int] = {}
    for worker in workers.list_all(db):
        by_state[worker.state] = by_state.get(worker.state, 0) + 1
    measured = [(queue.name, queue.waiting, queue.unacked) for queue in queues.list_all(db)]
    return Totals(tasks.counts(db), by_state, measured)
