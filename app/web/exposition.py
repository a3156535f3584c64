"""The figures as Prometheus reads them, labels bounded."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from app.domain.errors import StoreUnavailable
from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.feed.replicas import Replica
from app.feed.status import RecorderStatus
from app.web.api.stats import Totals, read_totals
from app.web.lately import Lately, of_ended, read_lately
from app.web.quality import Known
from app.web.state import Umbel

QUEUE_LABELS = 500
"""Queues shown one by one; the rest are one label, for a series each would be dear to keep."""
REASON_LABELS = 50
"""Reasons of malformed events and causes of blind windows; they are our own words, so there are
few."""
OTHERS = "(others)"


async def expose(umbel: Umbel) -> bytes:
    """The text of one answer; of parts that are away, without their figures."""
    totals = known = ended = None
    with suppress(StoreUnavailable):
        totals = await umbel.reading(read_totals, umbel.db)
        known = await umbel.quality.read()
        ended = await umbel.reading(read_lately, umbel.db, time.time())
    registry = CollectorRegistry()
    registry.register(_Figures(umbel, totals, known, ended))
    return generate_latest(registry)


class _Figures(Collector):
    """One reading of everything, for one answer."""

    def __init__(
        self, umbel: Umbel, totals: Totals | None, known: Known | None, ended: Lately | None
    ) -> None:
        self._umbel = umbel
        self._ended = ended
        self._totals = totals
        self._known = known

    def collect(self) -> Iterator[Metric]:
        health = self._umbel.health
        up = GaugeMetricFamily("umbel_up", "1 where the part is well.", labels=["part"])
        for name in ("broker", "store", "recorder"):
            up.add_metric([name], float(getattr(health, name).ok))
        yield up
        yield GaugeMetricFamily(
            "umbel_streams_open", "Event streams open here.", value=self._umbel.streams.open
        )
        if self._totals is not None:
            yield from _of_store(self._totals)
        if self._known is not None:
            yield from _of_stories(self._known)
            yield from _of_windows(self._known)
        if self._ended is not None:
            yield from of_ended(self._ended)
        if (replicas := self._umbel.tail.replicas) is not None:
            yield from _of_replicas(replicas)
        if (status := self._umbel.tail.recorder) is not None:
            yield from _of_recorder(status)


def _of_store(totals: Totals) -> Iterable[Metric]:
    tasks = GaugeMetricFamily("umbel_tasks", "Tasks kept, by state.", labels=["state"])
    for state in TaskState:
        tasks.add_metric([state.value], totals.tasks.get(state, 0))
    yield tasks
    workers = GaugeMetricFamily("umbel_workers", "Workers known, by state.", labels=["state"])
    for kind in WorkerState:
        workers.add_metric([kind.value], totals.workers.get(kind, 0))
    yield workers
    waiting = GaugeMetricFamily(
        "umbel_queue_waiting", "Messages that no worker has taken.", labels=["queue"]
    )
    unacked = GaugeMetricFamily(
        "umbel_queue_unacked", "Messages handed out, not acknowledged.", labels=["queue"]
    )
    for name, depth, _ in _bounded(totals.queues):
        waiting.add_metric([name], depth)
    for name, _, taken in _bounded(totals.queues):
        if taken is not None:
            unacked.add_metric([name], taken)
    yield waiting
    yield unacked


def _of_stories(known: Known) -> Iterable[Metric]:
    counted = GaugeMetricFamily(
        "umbel_stories",
        "Tasks that ended lately, by how they are known.",
        labels=["window", "kind"],
    )
    share = GaugeMetricFamily(
        "umbel_stories_whole_ratio", "Of 1, of those that ended lately.", labels=["window"]
    )
    for window, found in (("1h", known.hour), ("24h", known.day)):
        for kind in ("ended", "whole", "lost"):
            counted.add_metric([window, kind], getattr(found, kind))
        if found.share is not None:
            share.add_metric([window], found.share)
    yield counted
    yield share


def _of_windows(known: Known) -> Iterable[Metric]:
    kept = GaugeMetricFamily(
        "umbel_blind_windows", "Times that nobody listened, as kept.", labels=["cause"]
    )
    unhealed = GaugeMetricFamily(
        "umbel_blind_windows_unhealed", "Those not made good yet.", labels=["cause"]
    )
    for cause, (count, open_) in sorted(known.causes.items())[:REASON_LABELS]:
        kept.add_metric([cause], count)
        unhealed.add_metric([cause], open_)
    yield kept
    yield unhealed


def _of_replicas(replicas: Sequence[Replica]) -> Iterable[Metric]:
    there = GaugeMetricFamily("umbel_replicas", "Processes of Umbel, by role.", labels=["role"])
    for role in ("web", "recorder"):
        there.add_metric([role], sum(replica.role == role for replica in replicas))
    yield there
    leading = any(replica.leads for replica in replicas)
    yield GaugeMetricFamily("umbel_leader", "1 where one recorder leads.", value=float(leading))


def _bounded(
    queues: list[tuple[str, int, int | None]],
) -> list[tuple[str, int, int | None]]:
    if len(queues) <= QUEUE_LABELS:
        return queues
    rest = queues[QUEUE_LABELS:]
    taken = [unacked for _, _, unacked in rest if unacked is not None]
    others = (OTHERS, sum(depth for _, depth, _ in rest), sum(taken) if taken else None)
    return [*queues[:QUEUE_LABELS], others]


def _of_recorder(status: RecorderStatus) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "umbel_recorder_lag_seconds",
        "How long the newest kept event had waited.",
        value=status.lag,
    )
    yield GaugeMetricFamily(
        "umbel_recorder_backlog", "Messages heard and not yet kept.", value=status.backlog
    )
    yield CounterMetricFamily(
        "umbel_recorder_events", "Events heard since it started.", value=status.events
    )
    yield CounterMetricFamily(
        "umbel_recorder_changes", "Changes announced since it started.", value=status.changes
    )
    yield CounterMetricFamily(
        "umbel_recorder_dropped", "Events dropped since it started.", value=status.dropped
    )
    yield CounterMetricFamily(
        "umbel_recorder_blind_windows",
        "Times that nobody listened, since it started.",
        value=status.blind_windows,
    )
    yield from _of_streams(status)
    malformed = CounterMetricFamily(
        "umbel_recorder_malformed", "Events that could not be understood.", labels=["reason"]
    )
    for reason, count in sorted(status.malformed.items())[:REASON_LABELS]:
        malformed.add_metric([reason], count)
    yield malformed


def _of_streams(status: RecorderStatus) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "umbel_stream_lag_seconds", "Age of the durable event read next.", value=status.stream_lag
    )
    heard = GaugeMetricFamily(
        "umbel_producers", "Heard by the stream (durable), or by pub/sub alone.", labels=["kind"]
    )
    heard.add_metric(["durable"], status.durable_producers)
    heard.add_metric(["stock"], status.stock_workers)
    yield heard
    yield CounterMetricFamily(
        "umbel_producers_dropped",
        "Events that workers could not keep, since the recorder started.",
        value=status.producer_dropped,
    )
    yield CounterMetricFamily(
        "umbel_recorder_lost", "Tasks given up since it started.", value=status.lost
    )
    yield GaugeMetricFamily(
        "umbel_recorder_healing",
        "1 while a blind window is made good.",
        value=float(status.healing),
    )
    yield GaugeMetricFamily(
        "umbel_recorder_unchecked",
        "Open tasks that the last check could not judge.",
        value=status.unchecked,
    )
    yield GaugeMetricFamily(
        "umbel_recorder_token", "Its right to write; rises when another leads.", value=status.token
    )
    if status.checked_at is not None:
        yield GaugeMetricFamily(
            "umbel_recorder_checked_timestamp_seconds",
            "When all open tasks were checked last.",
            value=status.checked_at,
        )
