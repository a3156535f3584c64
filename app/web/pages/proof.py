"""The lists that prove figures: of what ended in a time, of one label, or that took so long."""

from collections.abc import Mapping
from math import floor
from typing import NamedTuple

from app.web.pages.concerns import address_of, ended_in

Pairs = Mapping[str, str]
"""Parameters of an address that pick the tasks of one label."""
NOTHING: Pairs = {}
MICROS = 1_000_000
"""Runtimes are told to the microsecond."""


class Proof(NamedTuple):
    """The lists that prove the figures of a time: of what ended from `since` on."""

    since: int

    def tasks(self, of: Pairs = NOTHING, **more: str) -> str:
        """The list of the tasks that a figure counts."""
        return address_of(**{**of, **more}, ended=ended_in(self.since))

    def slow(self, seconds: float, of: Pairs = NOTHING) -> str:
        """The list of those that ran at least so long, which is what a percentile tells of."""
        least = f"{floor(seconds * MICROS) / MICROS:.6f}".rstrip("0").rstrip(".")
        term = f"runtime:>={least}s"
        return self.tasks(of, q=f"{of['q']} {term}" if "q" in of else term)
