"""How long things took, counted in buckets that each are 2 % wide: quantiles within 1 %.

Two of them are added, or one is taken away from another, bucket by bucket, and the outcome is as
exact as if all values had come to one. docs/decisions/0014-rollups.md says why it is this one.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp, log

from app.domain.lanes import counts_of, lanes_of

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


@dataclass(slots=True, eq=False)
class Sketch:
    """Many durations in seconds: how many, their sum, and how many are in each bucket.

    What was added lately is in `recent`, by bucket, all else in `lanes` (see `app.domain.lanes`).
    `count` may be more than the buckets have together: of older figures only the sum was kept.
    """

    count: int = 0
    total: float = 0.0
    recent: dict[int, int] = field(default_factory=dict)
    lanes: int = field(default=0, repr=False)  # thousands of digits

    def __eq__(self, other: object) -> bool:
        """Whether the same was added, in whatever order."""
        if not isinstance(other, Sketch):
            return NotImplemented
        same = (self.count, self.total) == (other.count, other.total)
        return same and self.settled() == other.settled()

    def add(self, seconds: Sequence[float], times: int = 1) -> None:
        """Adds durations; with `times` of -1 takes back such that were added."""
        recent, total = self.recent, 0.0
        for given in seconds:
            each = given
            if SHORTEST < each < LONGEST:
                bucket = int(log(each) * _SCALE + _SHIFT)
            else:
                each = min(max(0.0, each), LONGEST)
                bucket = LAST if each == LONGEST else 0
            recent[bucket] = recent.get(bucket, 0) + times
            total += each
        self.count += len(seconds) * times
        self.total += total * times

    def merge(self, other: "Sketch") -> None:
        """Adds all of another one."""
        self.count += other.count
        self.total += other.total
        self.lanes += other.lanes
        recent = self.recent
        for bucket, times in other.recent.items():
            recent[bucket] = recent.get(bucket, 0) + times

    def settled(self) -> int:
        """All buckets as lanes, from now on."""
        if self.recent:
            self.lanes += lanes_of(self.recent)
            self.recent = {}
        return self.lanes

    @property
    def mean(self) -> float | None:
        """Seconds; None where there is none."""
        return max(0.0, self.total / self.count) if self.count > 0 else None

    def quantiles(self, *wanted: float) -> list[float | None]:
        """The durations below which such parts of 1 are; 1 is the longest. None where there is
        none."""
        first, counts = counts_of(self.settled())
        reached = list(accumulate(counts))
        if not reached or not reached[-1]:
            return [None] * len(wanted)
        ranks = [int(part * (reached[-1] - 1)) for part in wanted]
        return [duration_of(first + bisect_right(reached, rank)) for rank in ranks]


def duration_of(bucket: int) -> float:
    """Seconds that a bucket stands for: from none of its values farther than ACCURACY."""
    if bucket <= 0:
        return SHORTEST
    return LONGEST if bucket >= LAST else _MIDDLE * exp((bucket - 1) * _WIDTH)
