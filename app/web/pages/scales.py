"""Scales of charts: what stands at the bottom and the top, and the lines between that have a word.

Heights and places are parts of 100, which is all of a drawing: a chart is as wide as its page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, log, log10
from typing import NamedTuple

from app.web.language import text
from app.web.pages.formats import SECONDS, amount, day, duration, percents

WHOLE = 100.0
"""The height and the width of a drawing."""
EDGE = 4.0
"""No word stands nearer to either end of the line of time: it would stick out."""
MOMENTS = 7
"""Words below a chart, at most: as many as a phone has room for."""
DAY = 86_400

_COUNTS = (2, 4, 6, 8, 10)
"""Tops of a scale of whole numbers, and ten, a hundred … times as much: half of each is whole."""
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_TIMES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0, DAY, 10.0 * DAY)
_LONGEST = 100.0 * DAY
_CLOCKS = (300, 900, 3_600, 7_200, 14_400, DAY, 5 * DAY)


class Tick(NamedTuple):
    """A line across the chart, or a place below it, and its word; of a time also its moment."""

    at: float
    words: str
    moment: int | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to its place: of a logarithmic one `low` is at the bottom, else 0 is."""

    high: float
    ticks: tuple[Tick, ...]
    low: float | None = None

    def y(self, value: float) -> float:
        """How far from the top it is."""
        if self.low is None:
            part = value / self.high
        else:
            part = log(max(value, self.low) / self.low) / log(self.high / self.low)
        return round(WHOLE * (1 - min(1.0, part)), 1)


class Span(NamedTuple):
    """The time that a chart shows: `steps` of `step` seconds from `first` on."""

    first: int
    step: int
    steps: int

    @property
    def end(self) -> int:
        return self.first + self.step * self.steps

    def x(self, moment: float) -> float:
        """How far from the left a moment is; held to the drawing."""
        part = (moment - self.first) / (self.end - self.first)
        return round(WHOLE * max(0.0, min(1.0, part)), 2)


def of_counts(greatest: int) -> Scale:
    """For whole numbers from 0 on."""
    unit = 10 ** max(0, floor(log10(max(1, greatest))))
    tops = (unit, *(each * unit for each in _COUNTS))
    top = next(top for top in tops if top >= max(_COUNTS[0], greatest))
    return _linear(top, [(0, "0"), (top / 2, amount(top / 2)), (top, amount(top))])


def of_shares(greatest: float) -> Scale:
    """For parts of 1."""
    top = next((top for top in _SHARES if top >= greatest), 1.0)
    return _linear(top, [(each, percents(each * 100)) for each in (0, top / 2, top)])


def of_durations(shortest: float, longest: float) -> Scale:
    """For seconds, each line about ten times the one below it."""
    low = max([each for each in _TIMES if each <= shortest], default=_TIMES[0])
    high = next((each for each in _TIMES if each >= longest and each > low), _LONGEST)
    lines = [each for each in (*_TIMES, _LONGEST) if low <= each <= high]
    scale = Scale(high, (), low)
    sparse = lines[:: 1 + len(lines) // 6]
    return Scale(high, tuple(Tick(scale.y(each), _word(each)) for each in sparse), low)


def clock_of(span: Span) -> int:
    """Seconds between two words below a chart."""
    length = span.end - span.first
    return next((each for each in _CLOCKS if length / each <= MOMENTS), _CLOCKS[-1])


def of_time(span: Span) -> Iterator[Tick]:
    """Words below a chart, in UTC, at whole hours and days."""
    clock = clock_of(span)
    for moment in range(span.first - span.first % -clock, span.end, clock):
        if EDGE <= (x := span.x(moment)) <= WHOLE - EDGE:
            at = datetime.fromtimestamp(moment, UTC)
            yield Tick(x, day(at) if moment % DAY == 0 else f"{at:%H:%M}", moment)


def _word(seconds: float) -> str:
    if 1 <= seconds < 60:
        return text(SECONDS) % {"number": f"{seconds:g}"}
    return duration(seconds)


def _linear(top: float, lines: list[tuple[float, str]]) -> Scale:
    return Scale(top, tuple(Tick(WHOLE - WHOLE * at / top, words) for at, words in lines))
