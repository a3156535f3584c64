"""Has every clock of a Python process be off, if its environment says so.

Python imports this first where its folder is on PYTHONPATH. libfaketime would do it from outside,
but as it is today `time.sleep` fails under it or locks wait for ever, which no wrong clock does.
"""

import datetime
import os
import time

OFF = float(os.environ.get("CHAOS_CLOCK", "0"))
"""Seconds ahead of the machine's clock."""

_time, _time_ns = time.time, time.time_ns


class Shifted(datetime.datetime):
    """The same, by the shifted clock."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
        return cls.fromtimestamp(_time() + OFF, tz)

    @classmethod
    def utcnow(cls) -> "Shifted":
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017


if OFF:
    time.time = lambda: _time() + OFF
    time.time_ns = lambda: _time_ns() + int(OFF * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]
