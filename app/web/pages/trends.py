"""Where a queue is going: how fast it fills and empties, and only what its minutes bear out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from app.domain.queues import Queue
from app.store.figures import Ended
from app.store.queues import Depth
from app.web.language import gettext as _
from app.web.pages import scales
from app.web.pages.chart import Layer, Plot
from app.web.pages.concerns import address_of
from app.web.pages.ended import EndedPart, Key, Titled
from app.web.pages.formats import UNKNOWN, amount, duration
from app.web.pages.scales import WHOLE, Scale

WINDOW = 300.0
"""Seconds of which rates are told: long enough that a burst is not taken for a trend."""
STEADY = 3
"""Minutes that a queue has to have grown, or to have become shorter, before that is said."""
GROWN_BY = 10
"""Messages more that are worth a word."""
WAVERS = 1.05
"""A queue that grows wavers by so much from one minute to the next."""
LONGEST_DRAIN = 86_400.0
"""Seconds until it is empty beyond which nobody can say: a day has its own ups and downs."""
SPARK = 60
"""Minutes of the small drawing in the list."""
PLOTS = ("depth", "age", "count", "rate", "wait", "run")
"""What the page of a queue draws, in this order."""

Minutes = Sequence[tuple[int, int]]
"""The greatest depth of each minute that was measured, the oldest first."""


@dataclass(frozen=True, slots=True)
class Trend:
    """`done` tasks of it end a minute and about `come` are sent, `growing_since` so long; empty in
    `drain` seconds at this pace. None: that can't be said."""

    done: float | None = None
    come: float | None = None
    growing_since: float | None = None
    drain: float | None = None


def trend_of(queue: Queue, minutes: Minutes, ended: Ended | None, now: float) -> Trend:
    """What the last minutes say of a queue that is measured still."""
    done = (0 if ended is None else ended.count) / (WINDOW / 60)
    lately = [each for each in minutes if each[0] >= now - WINDOW]
    slope = None
    if lately and (span := now - lately[0][0]) >= 60:
        slope = (queue.waiting - lately[0][1]) / span
    return Trend(
        done=done,
        come=None if slope is None else max(0.0, done + slope * 60),
        growing_since=_growing_since(queue, minutes, now),
        drain=_drain(queue, lately, slope),
    )


def _growing_since(queue: Queue, minutes: Minutes, now: float) -> float | None:
    since, least = now, queue.waiting
    for minute, depth in reversed(minutes):
        if depth > max(least * WAVERS, least + 1):
            break
        if depth < least:
            since, least = minute, depth
    grown = queue.waiting - least
    steady = now - since >= STEADY * 60
    return since if steady and grown >= max(GROWN_BY, queue.waiting / 10) else None


def _drain(queue: Queue, lately: Minutes, slope: float | None) -> float | None:
    if not queue.waiting or not queue.consumers or slope is None or slope >= 0:
        return None
    depths = [depth for _, depth in lately]
    falls = all(later <= earlier for earlier, later in pairwise(depths))
    if len(depths) < STEADY or not falls:
        return None
    seconds = queue.waiting / -slope
    return seconds if seconds <= LONGEST_DRAIN else None


def spark_of(minutes: Minutes, now: float) -> str:
    """The small drawing of the last hour: a path in a box of 100 by 100, with gaps where nobody
    measured."""
    first = now // 60 * 60 - (SPARK - 1) * 60
    found = {minute: depth for minute, depth in minutes if minute >= first}
    high = max(found.values(), default=0) or 1
    points = [found.get(int(first) + place * 60) for place in range(SPARK)]
    return _line([None if depth is None else WHOLE * (1 - depth / high) for depth in points])


def with_depth(
    part: EndedPart, depths: Mapping[int, Depth], queue: Queue, fresh: bool
) -> EndedPart:
    """The charts of a queue with how deep and how old it was, beside what ended of it."""
    chart = part.chart
    found = [depths.get(step.at) for step in chart.steps]
    deep = [None if each is None else each.waiting for each in found]
    old = [None if each is None else each.oldest for each in found]
    known = [seconds for seconds in old if seconds is not None]
    plots = {plot.key: plot for plot in chart.plots}
    counted = scales.of_counts(max((each for each in deep if each is not None), default=0))
    plots["depth"] = _plot("depth", deep, counted)
    aged = scales.of_durations(min(known, default=0.001), max(known, default=1.0))
    plots["age"] = _plot("age", old, aged)
    told = [
        (UNKNOWN if depth is None else f"{depth:,}", duration(seconds))
        for depth, seconds in zip(deep, old, strict=True)
    ]
    data = ";".join(map(_inserted, chart.data.split(";"), told))
    drawn = replace(chart, plots=tuple(plots[name] for name in PLOTS), data=data)
    return replace(part, chart=drawn, titles={**part.titles, **_titles(part, queue, fresh)})


def _plot(key: str, values: Sequence[float | None], scale: Scale) -> Plot:
    heights = [None if value is None else scale.y(value) for value in values]
    layers = Layer("between", _area(heights)), Layer("line p50", _line(heights))
    return Plot(key, scale.ticks, layers)


def _titles(part: EndedPart, queue: Queue, fresh: bool) -> dict[str, Titled]:
    steps, query = part.chart.steps, part.titles["count"].query
    cell = len(steps[0].cells()) if steps else 0
    address = address_of(queue=queue.name, state="PENDING")
    waiting = amount(queue.waiting) if fresh else UNKNOWN
    oldest = duration(queue.oldest_age) if fresh else UNKNOWN
    deep = Key("line p50", _("waiting now"), waiting, address, cell)
    old = Key("line p50", _("oldest now"), oldest, address, cell + 1)
    return {
        "depth": Titled(_("Waiting, at the most"), query, (deep,)),
        "age": Titled(_("Age of the oldest, at the most"), query, (old,)),
    }


def _inserted(step: str, told: Sequence[str]) -> str:
    *cells, note = step.split("|")
    return "|".join([*cells, *told, note])


def _runs(heights: Sequence[float | None]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    wide = WHOLE / max(1, len(heights))
    for place, height in enumerate(heights):
        if height is not None:
            run.append((round((place + 0.5) * wide, 2), round(height, 1)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _line(heights: Sequence[float | None]) -> str:
    found = []
    for run in _runs(heights):
        marks = [f"{x:g} {y:g}" for x, y in run]
        found.append("M" + (f"{marks[0]}h.01" if len(marks) == 1 else "L".join(marks)))
    return "".join(found)


def _area(heights: Sequence[float | None]) -> str:
    found = []
    for run in _runs(heights):
        top = "L".join(f"{x:g} {y:g}" for x, y in run)
        found.append(f"M{run[0][0]:g} {WHOLE:g}L{top}V{WHOLE:g}z")
    return "".join(found)
