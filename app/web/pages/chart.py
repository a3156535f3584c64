"""Charts drawn on the server, without a script and with a text alternative: what ended as bars, how
long it took as lines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, log

from app.store.figures import Ended
from app.web.figures import Found
from app.web.pages.formats import duration

HEIGHT = 100
STEP = 10
"""Units of the drawing from one step to the next."""
LINES = (0.5, 0.95, 0.99)
"""The quantiles that have a line each."""
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Bar:
    """One step. `good` and `failed` are heights; `words` say it."""

    x: int
    good: float
    failed: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One quantile over time: its name, and its path in the drawing."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What ended in each step of a time, and how long it ran. `low` and `high` are the seconds at
    the bottom and the top of the lines, whose scale is logarithmic; None where nothing ran."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    width: int
    greatest: int
    succeeded: int
    failed: int
    busiest: str
    begins: str
    low: float | None
    high: float | None


def draw(found: Found) -> Chart:
    """The chart of figures that were read."""
    step = found.asked.step
    first = int(found.asked.since // step) * step
    steps = ceil((found.asked.until - first) / step)
    total, series = found.total, found.series
    counted = {at: (max(0, each.succeeded), max(0, each.failed)) for at, each in series.items()}
    greatest = max(map(sum, counted.values()), default=0)
    low, high, lines = _lines(series, first, step)
    return Chart(
        bars=tuple(_bars(found, first, counted, HEIGHT / max(1, greatest))),
        lines=lines,
        width=steps * STEP,
        greatest=greatest,
        succeeded=total.succeeded,
        failed=total.failed,
        busiest=_pace(greatest, step),
        begins=_moment(first, step),
        low=low,
        high=high,
    )


def _bars(
    found: Found, first: int, counted: Mapping[int, tuple[int, int]], unit: float
) -> Iterator[Bar]:
    step = found.asked.step
    for at, (good, failed) in counted.items():
        words = f"{_moment(at, step)}: {good:,} succeeded, {failed:,} failed"
        p50, p95, p99 = found.series[at].run.quantiles(*LINES)
        if p50 is not None:
            words += f"; ran {duration(p50)}, p95 {duration(p95)}, p99 {duration(p99)}"
        x = (at - first) // step * STEP
        yield Bar(x, round(good * unit, 1), round(failed * unit, 1), words)


def _lines(
    series: Mapping[int, Ended], first: int, step: int
) -> tuple[float | None, float | None, tuple[Line, ...]]:
    points = {at: ended.run.quantiles(*LINES) for at, ended in series.items()}
    known = [each for told in points.values() for each in told if each is not None]
    if not known:
        return None, None, ()
    low, high = min(known), max(known)
    unit = HEIGHT / (log(high / low) or 1)
    lines = []
    for place, part in enumerate(LINES):
        heights = {at: told[place] for at, told in points.items()}
        marks = [
            ((at - first) // step, round(HEIGHT - log(seconds / low) * unit, 1))
            for at, seconds in heights.items()
            if seconds is not None
        ]
        lines.append(Line(f"p{part * 100:g}", _path(marks)))
    return low, high, tuple(lines)


def _path(marks: list[tuple[int, float]]) -> str:
    """Through steps beside each other; a step alone is a dash as wide as itself."""
    found = []
    before = None
    for step, y in marks:
        x = step * STEP
        if before == step - 1:
            found.append(f"L{x + STEP / 2:g} {y:g}")
        else:
            found.append(f"M{x + STEP / 2:g} {y:g}h.1")
        before = step
    return "".join(found)


def _pace(many: int, step: int) -> str:
    each_second = many / step
    return f"{each_second:,.1f}/s" if each_second >= 10 else f"{many * 60 / step:,.0f}/min"


def _moment(at: int, step: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    form = "%Y-%m-%d" if step % DAY == 0 else "%b %d %H:%M" if step > 300 else "%H:%M"
    return f"{moment:{form}}"
