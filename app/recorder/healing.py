"""Blind windows on their way to being healed, and what was found on it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from app.recorder.inspector import Findings
from app.store.blind_windows import BlindWindow

HEAL_PAUSE_SECONDS, LONGEST_HEAL_PAUSE = 5.0, 60.0
"""Between two healings: the first gap is healed at once, those that follow it together. Where
gaps do not end it is doubled up to the longest: a Redis that is too busy to be heard must not be
searched all the time for that."""

Describe = Callable[[BlindWindow, str], str]
"""Adds to what was seen, as a window's note has it, what only others know of the window."""


def heal_pause(before: float, since: float) -> float:
    """The pause after a healing that began `since` seconds after another, which was followed by a
    pause of `before`."""
    return HEAL_PAUSE_SECONDS if since > 2 * before else min(2 * before, LONGEST_HEAL_PAUSE)


@dataclass(slots=True)
class Healing:
    """The windows that are being healed, each once however it grows, and what was found so far;
    `looked_at` is when all was looked at once, by our monotonic clock."""

    windows: dict[tuple[float, str, str], BlindWindow] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    said: str = ""
    looked_at: float | None = None
    rechecks: int = 0

    def also_of(self, windows: Iterable[BlindWindow]) -> "Healing":
        """Begun anew, for these windows too."""
        added = {(each.began_at, each.cause, each.source): each for each in windows}
        return Healing(self.windows | added, self.findings)

    def spans(self, margin: float) -> list[tuple[float, float]]:
        """From when to when the windows were, each moment once, with a margin around: of one
        trouble every producer can have a window of its own."""
        found: list[tuple[float, float]] = []
        for window in sorted(self.windows.values(), key=lambda each: each.began_at):
            if window.ended_at is None:
                continue
            began, ended = window.began_at - margin, window.ended_at + margin
            if found and began <= found[-1][1]:
                began, before = found.pop()
                ended = max(ended, before)
            found.append((began, ended))
        return found

    def healed(self, now: float, describe: Describe) -> list[BlindWindow]:
        """The windows as they are closed: what was found stands with the first of them."""
        found, said = self.findings, self.said
        if unchecked := found.unchecked:
            reason, _ = unchecked.most_common(1)[0]
            said += f"; {unchecked.total()} tasks can't be judged yet: {reason}"
        figures, closed = (found.found, found.ended, found.lost), []
        for window in self.windows.values():
            at_last = replace(window, healed_at=now, note=describe(window, said))
            closed.append(replace(at_last, found=figures[0], ended=figures[1], lost=figures[2]))
            said, figures = "healed together with another", (0, 0, 0)
        return closed
