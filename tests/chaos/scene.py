"""What a fault acts on: the stack, the load that goes on meanwhile, and chance."""

import random
import time
from dataclasses import dataclass, field

from tests.chaos.load import Load
from tests.chaos.stack import Stack
from tests.support import eventually


@dataclass
class Scene:
    """`moments`: how often a fault that strikes at random moments does so. `short`: outages last
    a few seconds only. `measured`: seconds of what a fault has timed, by name."""

    stack: Stack
    load: Load
    choose: random.Random
    moments: int
    short: bool
    measured: dict[str, float] = field(default_factory=dict)

    def work(self, runs: int = 20) -> None:
        """Returns when so many tasks more have begun or ended."""
        wanted = self._runs() + runs
        eventually(lambda: self._runs() >= wanted, 90.0)

    def last(self, seconds: float) -> None:
        """Keeps things as they are for a while, at most a few seconds in the short form."""
        time.sleep(min(seconds, 4.0) if self.short else seconds)

    def at_random(self, seconds: float = 1.5) -> None:
        """Waits for a moment that nobody has chosen."""
        time.sleep(self.choose.uniform(0.0, seconds))

    def measure(self, name: str, seconds: float) -> None:
        """Keeps the longest time that was taken by something."""
        self.measured[name] = round(max(seconds, self.measured.get(name, 0.0)), 2)

    def holds(self, name: str, seconds: float) -> None:
        """Fails if something took longer than is promised; the short form shares its machine."""
        taken = self.measured.get(name, 0.0)
        assert self.short or taken <= seconds, f"{name} took {taken:g} s; {seconds:g} s is promised"

    def _runs(self) -> int:
        return self.stack.log.read_bytes().count(b"\n")
