"""What Redis's own clock shows, as far as we can know it from here."""

import time

CLOCK_AGE = 60.0
"""Seconds after which Redis's clock is read again before anything relies on it."""


class Clock:
    """What Redis's clock shows, never more than it may show: deadlines rather come too soon."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._read_at = 0.0

    @property
    def fresh(self) -> bool:
        """It was read so lately that the two clocks can't have drifted apart by much."""
        return self._offset is not None and time.monotonic() - self._read_at < CLOCK_AGE

    def learn(self, sent: float, received: float, at: float) -> None:
        """Redis showed `at` seconds at some moment between these two of ours."""
        least, most = at - received, at - sent
        self._offset = least if self._offset is None else min(max(self._offset, least), most)
        self._read_at = received

    def microseconds(self, moment: float) -> int:
        """What Redis's clock shows at a moment of ours."""
        return int((moment + (self._offset or 0.0)) * 1_000_000)
