"""How long things took, counted in buckets that each are 2 % wide: quantiles within 1 %.

Two of them are added, or one is taken away from another, bucket by bucket, and the outcome is as
exact as if all values had come to one. docs/decisions/0014-rollups.md says why it is this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

ACCURACY = 0.01
"""Of 1: a quantile is at most so far from a value that was added at its rank."""
SHORTEST = 0.0001
"""Seconds. What took no longer is one bucket: no clock of a worker tells such times apart."""
LONGEST = 30 * 86_400.0
"""Seconds; what took longer counts as this, as do values that no task can have."""

_WIDTH = log((1 + ACCURACY) / (1 - ACCURACY))
_SCALE = 1 / _WIDTH
_SHIFT = 1 - log(SHORTEST) / _WIDTH
LAST = int(log(LONGEST) * _SCALE + _SHIFT) + 1
"""The number of the highest bucket; 0 is the lowest, 1 begins at SHORTEST."""
_MIDDLE = SHORTEST * (1 + ACCURACY)


@dataclass(slots=True)
class Sketch:
    """Many durations in seconds: how many, their sum, and how many are in each bucket.

    `count` may be more than the buckets have together: of older figures only the sum was kept.
    """

    count: int = 0
    total: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: Sequence[float], times: int = 1) -> None:
        """Adds durations; with `times` of -1 takes back such that were added."""
        own, total = self.buckets, 0.0
        for given in seconds:
            each = given
            if SHORTEST < each < LONGEST:
                bucket = int(log(each) * _SCALE + _SHIFT)
            else:
                each = min(max(0.0, each), LONGEST)
                bucket = LAST if each == LONGEST else 0
            own[bucket] = own.get(bucket, 0) + times
            total += each
        self.count += len(seconds) * times
        self.total += total * times

    def merge(self, other: "Sketch") -> None:
        """Adds all of another one."""
        self.count += other.count
        self.total += other.total
        own = self.buckets
        for bucket, times in other.buckets.items():
            own[bucket] = own.get(bucket, 0) + times

    @property
    def mean(self) -> float | None:
        """Seconds; None where there is none."""
        return max(0.0, self.total / self.count) if self.count > 0 else None

    def quantiles(self, *wanted: float) -> list[float | None]:
        """The durations below which such parts of 1 are, in ascending order; 1 is the longest.
        None where there is none."""
        ordered = sorted(item for item in self.buckets.items() if item[1] > 0)
        many = sum(times for _, times in ordered)
        if not many:
            return [None] * len(wanted)
        found: list[float | None] = []
        place, reached = -1, 0
        for part in wanted:
            rank = int(part * (many - 1))
            while reached <= rank:
                place += 1
                reached += ordered[place][1]
            found.append(duration_of(ordered[place][0]))
        return found


def duration_of(bucket: int) -> float:
    """Seconds that a bucket stands for: from none of its values farther than ACCURACY."""
    if bucket <= 0:
        return SHORTEST
    return LONGEST if bucket >= LAST else _MIDDLE * exp((bucket - 1) * _WIDTH)


def merged(sketches: Sequence[Sketch]) -> Sketch:
    """All of them as one."""
    found = Sketch()
    for each in sketches:
        found.merge(each)
    return found
