"""What ended in the last minutes and how long it took, for Prometheus: gauges of moving quantiles,
for its own histograms would be a series for each bucket of each name."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from app.store import figures
from app.store.database import Database
from app.store.figures import Ended
from app.store.labels import Kind
from app.store.rollups import minute_of

NAME_LABELS = 100
"""Names of tasks whose durations are told, those that ended most often."""
LATELY = 300
"""Seconds of which durations are told: the last whole minutes, so that two scrapes within a minute
say the same."""
QUANTILES = (0.5, 0.95, 0.99)

Lately = list[tuple[str, Ended]]


def read_lately(db: Database, now: float) -> Lately:
    """What ended in the last whole minutes, by name, the most first. Raises StoreUnavailable."""
    until = minute_of(now)
    found = figures.by_label(db, Kind.NAME, until - LATELY, until)
    named = [(name or "", ended) for name, ended in found.items()]
    return sorted(named, key=lambda item: (-item[1].count, item[0]))[:NAME_LABELS]


def of_ended(lately: Lately) -> Iterable[Metric]:
    """The same as Prometheus reads it."""
    count = GaugeMetricFamily(
        "umbel_ended_5m", "Tasks that ended in the last 5 minutes.", labels=["name", "state"]
    )
    for name, ended in lately:
        for state, many in sorted(ended.counts.items()):
            count.add_metric([name, state.value], many)
    yield count
    for kind, words in (("run", "Seconds that these ran."), ("wait", "Seconds that these waited.")):
        family = GaugeMetricFamily(f"umbel_{kind}_seconds_5m", words, labels=["name", "quantile"])
        for name, ended in lately:
            sketch = ended.run if kind == "run" else ended.wait
            for part, seconds in zip(QUANTILES, sketch.quantiles(*QUANTILES), strict=True):
                if seconds is not None:
                    family.add_metric([name, str(part)], seconds)
        yield family
