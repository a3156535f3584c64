"""What can be said about a list of numbers, each figure defined precisely."""

import math
from collections.abc import Sequence
from typing import TypedDict

MOST_NUMBERS = 1_000_000
"""Numbers in one task: what a worker of 256 MiB can hold and describe within a second or two."""
PERCENTILE = 0.95


class Figures(TypedDict):
    """All are floats except the count; `stdev` is None below two numbers."""

    count: int
    sum: float
    mean: float
    min: float
    max: float
    median: float
    stdev: float | None
    p95: float


def finite(value: object, name: str) -> float:
    """`value` as a float; TypeError or ValueError, naming it, unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} has to be a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} has to be a finite number that fits a 64-bit float")
    return number


def describe(numbers: Sequence[float]) -> Figures:
    """The figures of at least one finite number; ValueError where one of them overflows."""
    ordered = sorted(numbers)
    try:
        total = math.fsum(numbers)
        mean = total / len(numbers)
        figures = Figures(
            count=len(numbers),
            sum=total,
            mean=mean,
            min=ordered[0],
            max=ordered[-1],
            median=quantile(ordered, 0.5),
            stdev=sample_deviation(numbers, mean),
            p95=quantile(ordered, PERCENTILE),
        )
    except OverflowError:
        raise ValueError(OVERFLOW) from None
    if not all(math.isfinite(v) for v in figures.values() if isinstance(v, float)):
        raise ValueError(OVERFLOW)
    return figures


OVERFLOW = "the numbers are too large: one of their figures does not fit a 64-bit float"


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest ranks, the first at 0 and the last at 1."""
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    if low + 1 >= len(ordered):
        return ordered[-1]
    return ordered[low] + (ordered[low + 1] - ordered[low]) * (position - low)


def sample_deviation(numbers: Sequence[float], mean: float) -> float | None:
    """The sample standard deviation (divided by n - 1); None below two numbers."""
    if len(numbers) < 2:
        return None
    # hypot scales by itself: squares of large numbers do not overflow.
    return math.hypot(*(number - mean for number in numbers)) / math.sqrt(len(numbers) - 1)
