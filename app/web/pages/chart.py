"""Bars by the minute, drawn on the server: no script, and a text alternative."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.tasks import TaskState

MINUTES = 60
"""An hour: as far as somebody looks back who asks if all is well now."""
HEIGHT = 100
STEP = 10
"""Units of the drawing from one bar to the next."""
GOOD = frozenset({TaskState.SUCCESS})
BAD = frozenset({TaskState.FAILURE, TaskState.LOST, TaskState.REJECTED})


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute. `ended` and `failed` are heights; `words` say it."""

    x: int
    ended: float
    failed: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The last hour."""

    bars: tuple[Bar, ...]
    width: int
    greatest: int
    succeeded: int
    failed: int
    busiest: str


def draw(minutes: Mapping[int, Mapping[TaskState, int]], first: int) -> Chart:
    """The hour that begins with the minute `first` (seconds since the epoch)."""
    hour = [minutes.get(first + 60 * index, {}) for index in range(MINUTES)]
    good = [sum(minute.get(state, 0) for state in GOOD) for minute in hour]
    bad = [sum(minute.get(state, 0) for state in BAD) for minute in hour]
    greatest = max(map(sum, zip(good, bad, strict=True)))
    unit = HEIGHT / greatest if greatest else 0.0
    bars = tuple(
        Bar(
            index * STEP,
            round(good[index] * unit, 1),
            round(bad[index] * unit, 1),
            f"{MINUTES - 1 - index} min ago: {good[index]:,} succeeded, {bad[index]:,} failed",
        )
        for index in range(MINUTES)
        if good[index] or bad[index]
    )
    busiest = f"{greatest / 60:.1f}/s" if greatest >= 600 else f"{greatest:,}/min"
    return Chart(bars, MINUTES * STEP, greatest, sum(good), sum(bad), busiest)
