"""Times as the contract prints them, fast: the recorder prints half a dozen for every change."""

from datetime import datetime
from functools import lru_cache

from app.domain.filters import print_time


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC with microseconds; None where it isn't known or no calendar has it."""
    printed = print_moment(seconds)
    return None if printed == "null" else printed[1:-1]


def read_moment(text: str | None) -> float | None:
    """Seconds since the epoch of a printed time."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def print_moment(seconds: float | None) -> str:
    """The same as JSON, quotes included; `null` for none, and for a year that no calendar has."""
    if seconds is None:
        return "null"
    try:
        whole, rest = divmod(int(seconds * 1e6 + 0.5), 1_000_000)
        return f'{_second(whole)}{_THREE_DIGITS[rest // 1000]}{_THREE_DIGITS[rest % 1000]}Z"'
    except (ValueError, OverflowError, OSError):
        return "null"


def print_micros(micros: int) -> str:
    """The same for microseconds since the epoch.

    Times of one second share their head: four times as fast as `print_time`.
    """
    seconds, rest = divmod(micros, 1_000_000)
    try:
        return f'{_second(seconds)}{_THREE_DIGITS[rest // 1000]}{_THREE_DIGITS[rest % 1000]}Z"'
    except (ValueError, OverflowError, OSError):
        return "null"


def print_seconds(seconds: float | None) -> str:
    """So many seconds, of any sign, to the microsecond, as a JSON number; `null` for none and for
    what is no number. Python's own way of printing a fraction looks for the shortest one, which
    takes five times as long."""
    if seconds is None:
        return "null"
    try:
        micros = int(abs(seconds) * 1e6 + 0.5)
    except (ValueError, OverflowError):
        return "null"
    sign = "-" if seconds < 0 and micros else ""
    whole, rest = divmod(micros, 1_000_000)
    if rest == 0:
        return f"{sign}{whole}.0"
    return f"{sign}{whole}.{_THREE_DIGITS[rest // 1000]}{_THREE_DIGITS[rest % 1000]}".rstrip("0")


_THREE_DIGITS = tuple(f"{number:03d}" for number in range(1000))
"""Looked up in a third of the time that printing them takes."""


@lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    return '"' + print_time(whole)[:-7]
