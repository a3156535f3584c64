"""Times and durations as people write them."""

import re
from datetime import UTC, datetime
from math import isfinite

_AGO = re.compile(r"^(\d{1,6})\s*([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*(ms|s|m|min|h|d)?", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def parse_time(value: str, now: float) -> float:
    """RFC 3339, seconds since the epoch, or an age such as `15m`. Raises ValueError."""
    if ago := _AGO.match(value.strip()):
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(value)
    except ValueError:
        # A "+" of a time zone arrives as a space where somebody did not encode it.
        moment = datetime.fromisoformat(value.strip().replace(" ", "+"))
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds < 32_503_680_000:
        raise ValueError("before 1970 or after the year 3000")
    return seconds


def print_time(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds: `2026-11-22T18:00:00.000000Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def duration(text: str) -> float:
    """Seconds of `300ms`, `5s`, `1.5m`, `2h`, `1d`; a bare number is seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("not a duration")
    seconds = float(found[1]) * _UNITS[(found[2] or "s").lower()]
    if not isfinite(seconds):
        raise ValueError("not a duration that ends")
    return seconds


def print_duration(seconds: float) -> str:
    """The shortest text that says exactly so many seconds: `300ms`, `5s`, `2m`, `36h`."""
    for unit in ("d", "h", "m", "s", "ms"):
        number = seconds / _UNITS[unit]
        text = f"{number:.0f}{unit}"
        if number >= 1 and duration(text) == seconds:
            return text
    return f"{seconds!r}s".replace(".0s", "s")
