"""Charts drawn on the server: what ended, how much of it failed, how long it waited and ran.

A drawing is paths in a box of 100 by 100 that is stretched to its place, so it is crisp at any
width and needs no script. Whatever belongs to a moment, such as a mark for a deployment, stands at
`Span.x` of it. Where nobody listened there is a band, and a line has a gap: never a 0.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from app.domain.tasks import TaskState
from app.store.figures import Ended
from app.web.figures import Charted
from app.web.language import gettext as _
from app.web.language import language
from app.web.pages import scales
from app.web.pages.formats import UNKNOWN, duration, share
from app.web.pages.marks import Mark, marks_of, said
from app.web.pages.scales import WHOLE, Scale, Span, Tick

QUANTILES = (0.5, 0.95, 0.99)
LINES = ("p50", "p95", "p99")
OUTCOMES = (
    ("succeeded", (TaskState.SUCCESS,)),
    ("revoked", (TaskState.REVOKED,)),
    ("failed", (TaskState.FAILURE, TaskState.REJECTED)),
    ("lost", (TaskState.LOST,)),
)
"""Ends that are told apart, from the bottom of a bar to its top."""
LEAST = 1.5
"""How high something is drawn that is there: one failure in a million is not nothing."""
NARROWEST = 0.4
"""How wide a time is drawn in which nobody listened, however short it was."""
AIR = 0.12
"""Of a step's width is left free on either side of a bar."""
KEPT = 16
"""Drawings kept: each range that somebody watches is drawn once for all who read one language."""

Times = tuple[float | None, ...]


class Layer(NamedTuple):
    """One kind of thing in a drawing: its class, and the path of all of it."""

    name: str
    path: str


class Band(NamedTuple):
    """A time of which little or nothing is known."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing with its scale."""

    key: str
    ticks: tuple[Tick, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What ended in one step of time. `known` False: nobody can say; `unheard` are seconds of it in
    which nobody listened; `marked` what people have marked in it."""

    at: int
    known: bool
    unheard: float
    outcomes: tuple[int, ...]
    count: int
    failed: int
    wait: Times
    run: Times
    marked: str = ""

    @property
    def note(self) -> str:
        """What has to be said beside the figures."""
        return " · ".join(filter(None, [self._silence(), self.marked]))

    def _silence(self) -> str:
        if not self.known:
            return _("unknown: nobody listened")
        if not self.unheard:
            return ""
        return _("nobody listened for %(duration)s of it", duration=duration(self.unheard))

    def cells(self) -> list[str]:
        """All of it in words, in the order in which legends number them."""
        if not self.known:
            return [UNKNOWN] * (len(OUTCOMES) + 2 + 2 * len(LINES))
        counts = [f"{count:,}" for count in (self.count, *self.outcomes)]
        times = [duration(seconds) for seconds in (*self.wait, *self.run)]
        return [*counts, share(self.failed, self.count), *times]


@dataclass(frozen=True, slots=True)
class Chart:
    """All that is drawn of one time: four plots over the same steps."""

    span: Span
    steps: tuple[Step, ...]
    plots: tuple[Plot, ...]
    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    data: str

    @property
    def moments(self) -> str:
        """How scripts say the moments below it in another zone, see static/js/times.js."""
        return "day" if scales.clock_of(self.span) >= scales.DAY else "tick"


def draw(charted: Charted, heard_since: float | None, away_since: float | None) -> Chart:
    """The chart of figures that were read. `heard_since`: the recorder has listened since then;
    `away_since`: nobody does any more."""
    return _drawn(charted, heard_since, away_since, language())


@lru_cache(KEPT)
def _drawn(
    charted: Charted, heard_since: float | None, away_since: float | None, _tag: str
) -> Chart:
    found = charted.found
    step = found.asked.step
    first = int(found.asked.since // step) * step
    span = Span(first, step, ceil((found.asked.until - first) / step))
    begun = [each for each in (charted.known_since, heard_since) if each is not None]
    known_since = min(begun, default=found.asked.until)
    unheard = list(_unheard(charted, found.asked.until, away_since))
    marks = marks_of(span, charted.marked)
    steps = tuple(_steps(charted, span, known_since, unheard, marks))
    unknown = [(float(first), known_since)] if known_since > first else []
    return Chart(
        span=span,
        steps=steps,
        plots=tuple(_plots(span, steps)),
        bands=tuple(_bands(span, _merged([*unknown, *unheard]))),
        marks=marks,
        ticks=tuple(scales.of_time(span)),
        data=";".join("|".join([str(one.at), *one.cells(), one.note]) for one in steps),
    )


def _unheard(
    charted: Charted, now: float, away_since: float | None
) -> Iterator[tuple[float, float]]:
    spans = [(each.began_at, each.ended_at or now) for each in charted.blind]
    if away_since is not None:
        spans.append((away_since, now))
    return _merged(spans)


def _merged(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Times that overlap, as one."""
    since = until = None
    for begin, end in sorted(spans):
        if until is None or since is None:
            since, until = begin, end
        elif begin <= until:
            until = max(until, end)
        else:
            yield since, until
            since, until = begin, end
    if since is not None and until is not None:
        yield since, until


def _steps(
    charted: Charted,
    span: Span,
    known_since: float,
    unheard: Sequence[tuple[float, float]],
    marks: Sequence[Mark],
) -> Iterator[Step]:
    nothing = Ended()
    until = charted.found.asked.until
    for at in range(span.first, span.end, span.step):
        ended = charted.found.series.get(at, nothing)
        end = min(until, at + span.step)
        blind = sum(max(0.0, min(end, last) - max(at, first)) for first, last in unheard)
        silent = ended.count <= 0 and (end <= known_since or blind >= end - at > 0)
        yield Step(
            at=at,
            known=not silent,
            unheard=blind,
            outcomes=tuple(count_of(ended, states) for _, states in OUTCOMES),
            count=max(0, ended.count),
            failed=max(0, ended.failed),
            wait=tuple(ended.wait.quantiles(*QUANTILES)),
            run=tuple(ended.run.quantiles(*QUANTILES)),
            marked=said(marks, at, at + span.step),
        )


def count_of(ended: Ended, states: Sequence[TaskState]) -> int:
    """How many ended in any of these."""
    return max(0, sum(ended.counts.get(state, 0) for state in states))


def _bands(span: Span, times: Iterable[tuple[float, float]]) -> Iterator[Band]:
    for since, until in times:
        x = span.x(since)
        width = max(NARROWEST, span.x(until) - x)
        yield Band(min(x, WHOLE - width), round(width, 2))


def _plots(span: Span, steps: Sequence[Step]) -> Iterator[Plot]:
    counts = scales.of_counts(max((sum(step.outcomes) for step in steps), default=0))
    yield Plot("count", counts.ticks, tuple(_stacked(span, steps, counts)))
    rates = [step.failed / step.count if step.count else 0.0 for step in steps]
    shares = scales.of_shares(max(rates, default=0.0))
    bars = [(place, 0.0, rate) for place, rate in enumerate(rates) if rate]
    yield Plot("rate", shares.ticks, (Layer("failed", _bars(span, bars, shares)),))
    for key, times in (("wait", [step.wait for step in steps]), ("run", [s.run for s in steps])):
        known = [seconds for told in times for seconds in told if seconds is not None]
        scale = scales.of_durations(min(known, default=0.001), max(known, default=1.0))
        yield Plot(key, scale.ticks, tuple(_lines(span, times, scale)))


def _stacked(span: Span, steps: Sequence[Step], scale: Scale) -> Iterator[Layer]:
    below = [0] * len(steps)
    for kind, (name, _states) in enumerate(OUTCOMES):
        bars = []
        for place, step in enumerate(steps):
            if many := step.outcomes[kind]:
                bars.append((place, float(below[place]), float(many)))
                below[place] += many
        yield Layer(name, _bars(span, bars, scale))


def _bars(span: Span, bars: Iterable[tuple[int, float, float]], scale: Scale) -> str:
    wide = WHOLE / span.steps
    width = round(wide * (1 - 2 * AIR), 2)
    found = []
    for place, below, value in bars:
        bottom = scale.y(below)
        top = max(0.0, min(scale.y(below + value), bottom - LEAST))
        x = round(place * wide + wide * AIR, 2)
        found.append(f"M{x:g} {bottom:g}h{width:g}V{top:g}h-{width:g}z")
    return "".join(found)


def _lines(span: Span, times: Sequence[Times], scale: Scale) -> Iterator[Layer]:
    points = [tuple(scale.y(seconds) for seconds in told if seconds is not None) for told in times]
    runs = list(_runs(points))
    wide = WHOLE / span.steps

    def path(run: Sequence[int], line: int) -> str:
        marks = [f"{round((place + 0.5) * wide, 2):g} {points[place][line]:g}" for place in run]
        if len(marks) > 1:
            return marks[0] + "L" + "L".join(marks[1:])
        left = round((run[0] + 0.25) * wide, 2)  # a point alone would hardly be seen
        return f"{left:g} {points[run[0]][line]:g}h{round(wide / 2, 2):g}"

    areas = []
    for run in runs:
        if len(run) > 1:
            back = path(run[::-1], 0)
            areas.append(f"M{path(run, 2)}L{back}z")
    yield Layer("between", "".join(areas))
    for line, name in enumerate(LINES):
        yield Layer(f"line {name}", "".join(f"M{path(run, line)}" for run in runs))


def _runs(points: Sequence[tuple[float, ...]]) -> Iterator[list[int]]:
    """Places beside each other that have a point; between two of these there is a gap."""
    run: list[int] = []
    for place, told in enumerate(points):
        if told:
            run.append(place)
        elif run:
            yield run
            run = []
    if run:
        yield run
