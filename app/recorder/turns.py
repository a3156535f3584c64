"""Workers that came, went, came back or began anew: what they had is looked at."""

from collections.abc import Collection

from app.domain.workers import WorkerState
from app.recorder.fleet import Fleet

ARRIVAL_SECONDS = 1.0
"""Until a worker that came is asked: it says that it is there before it listens."""
ASK_AGAIN = 6
"""Times that a worker which came is asked, twice as long after each; then it has its turn in the
rounds."""


class Turns:
    """Who turned, and when to look. Moments are of our monotonic clock, in seconds."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._before: dict[str, tuple[WorkerState, int | None]] = {}
        self._waiting: dict[str, tuple[float, float]] = {}

    def begin(self) -> None:
        """Takes all as they are, for no news."""
        self._before = self._states()

    def notice(self, now: float) -> None:
        """Looks who has turned since the last call."""
        before, self._before = self._before, self._states()
        for name, (state, pid) in self._before.items():
            was = before.get(name, (None, None))
            if was == (state, pid) or was == (state, None):
                continue  # nothing is new, or only that its process has said its number
            wait = ARRIVAL_SECONDS if state is WorkerState.ONLINE else 0.0
            self._waiting[name] = now + wait, ARRIVAL_SECONDS

    def due(self, now: float) -> set[str]:
        """Who is to be looked at now."""
        return {name for name, (at, _) in self._waiting.items() if at <= now}

    def looked_at(self, names: Collection[str], answered: Collection[str], now: float) -> None:
        """These were; one that came and has not `answered` is looked at again."""
        for name in names:
            _, wait = self._waiting.pop(name)
            state = self._before[name][0] if name in self._before else None
            mute = state is WorkerState.ONLINE and name not in answered
            if mute and wait < ARRIVAL_SECONDS * 2**ASK_AGAIN:
                self._waiting[name] = now + wait, wait * 2

    def _states(self) -> dict[str, tuple[WorkerState, int | None]]:
        return {name: (worker.state, worker.pid) for name, worker in self._fleet.workers.items()}
