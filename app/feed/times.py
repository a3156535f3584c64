"""Times as the contract prints them, fast: the recorder prints half a dozen for every change."""

from datetime import datetime
from functools import lru_cache

from app.domain.filters import print_time


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC with microseconds; None where it isn't known or no calendar has it."""
    printed = "null" if seconds is None else print_moment(seconds)
    return None if printed == "null" else printed[1:-1]


def read_moment(text: str | None) -> float | None:
    """Seconds since the epoch of a printed time."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def print_moment(seconds: float) -> str:
    """The same as JSON, quotes included; `null` for a year that no calendar has.

    Times of one second share their head: four times as fast as `print_time`.
    """
    try:
        micros = int(seconds * 1e6 + 0.5)
        # A million is added so that the leading zeros of the fraction stay.
        return _second(micros // 1_000_000) + str(micros % 1_000_000 + 1_000_000)[1:] + 'Z"'
    except (ValueError, OverflowError, OSError):
        return "null"


@lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    return '"' + print_time(whole)[:-7]
