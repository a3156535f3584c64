"""A task's time, to scale: what it waited for and what it ran, attempt by attempt.

The time from the first moment known to the last is a row of stretches without a gap, each in one
attempt. A page draws them as bars, one line for each attempt; `static/js/timeline.js` lets the last
one grow while the task is open, by the same rules as `widths` here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from app.domain.tasks import Task, TaskState, Transition
from app.store.blind_windows import BlindWindow
from app.web.pages.stretches import Kind, Stretch, ordered, stretches_of

NARROWEST = 0.9
"""Percent of the width: a millisecond beside an hour is still there to point at."""
DWARFING = 6.0
"""A wait that is so many times as long as all the rest is drawn shorter, with a break in it."""
OPEN_SHARE = 25.0
"""Percent of the width for a stretch that goes on, where nothing makes it grow."""
LANES = 12
"""Attempts drawn; of more the first and the latest, and the table has all."""
SHORTEST_GAP = 0.001
"""Seconds. Clocks of two processes tell no shorter times apart."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One attempt, counted from 1: its stretches, who had it, and how it ended, where it did."""

    number: int
    stretches: tuple[Stretch, ...]
    worker: str | None
    state: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Blind:
    """A time in which nobody listened: percent of the drawing, and why."""

    x: float
    width: float
    window: BlindWindow


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it. `left_out` is how many attempts have no lane."""

    lanes: tuple[Lane, ...]
    begin: float
    end: float | None
    attempts: int
    left_out: int = 0
    blind: tuple[Blind, ...] = ()

    @property
    def is_broken(self) -> bool:
        return any(each.broken for lane in self.lanes for each in lane.stretches)

    @property
    def is_unsure(self) -> bool:
        return any(each.kind is Kind.UNKNOWN for lane in self.lanes for each in lane.stretches)


def draw_timeline(task: Task, blind: Sequence[BlindWindow] = ()) -> Timeline | None:
    """The timeline of a task; None where no moment of it is known."""
    steps = ordered(task)
    if not steps:
        return None
    stretches = _placed(stretches_of(task, steps))
    lanes = [
        _lane(number, tuple(part), steps)
        for number, part in groupby(stretches, key=lambda each: each.attempt)
    ]
    kept = lanes if len(lanes) <= LANES else [lanes[0], *lanes[len(lanes) - LANES + 1 :]]
    windows = (_blind(window, stretches) for window in blind)
    return Timeline(
        lanes=tuple(kept),
        begin=stretches[0].begin,
        end=stretches[-1].end,
        attempts=1 + max(task.retries, *(step.attempt for step in steps)),
        left_out=len(lanes) - len(kept),
        blind=tuple(window for window in windows if window is not None),
    )


def _placed(stretches: list[Stretch]) -> list[Stretch]:
    seconds = [each.seconds for each in stretches]
    waits = [each.kind is not Kind.RUN for each in stretches]
    weights = broken_weights(seconds, waits)
    x, found = 0.0, []
    for each, weight, width in zip(stretches, weights, widths(weights), strict=True):
        broken = weight is not None and each.seconds is not None and weight < each.seconds
        found.append(
            replace(each, weight=weight, broken=broken, x=round(x, 3), width=round(width, 3))
        )
        x += width
    return found


def broken_weights(
    seconds: Sequence[float | None], breakable: Sequence[bool]
) -> list[float | None]:
    """How much of the width each stretch asks for: its seconds, or less for a wait that would leave
    nothing of the others."""
    weights: list[float | None] = list(seconds)
    known = [each for each in seconds if each is not None]
    if len(known) < max(2, len(seconds)):  # where one goes on, the browser knows how long by now
        return weights
    longest = max(known)
    rest = sum(known) - longest
    for place, each in enumerate(seconds):
        if each == longest and breakable[place] and each > rest * DWARFING > SHORTEST_GAP:
            weights[place] = rest * 2
            break
    return weights


def widths(weights: Sequence[float | None]) -> list[float]:
    """Percent of the drawing for each weight, none below NARROWEST; None is OPEN_SHARE."""
    closed = [weight for weight in weights if weight is not None]
    room = 100.0 if len(closed) == len(weights) else 100.0 - OPEN_SHARE * bool(closed)
    if not closed:
        return [room / len(weights)] * len(weights)
    whole = sum(closed)
    least = min(NARROWEST, room / len(closed))
    wide = [max(least, weight / whole * room if whole else 0.0) for weight in closed]
    scale = room / sum(wide)
    scaled = iter([width * scale for width in wide])
    return [100.0 - room if weight is None else next(scaled) for weight in weights]


def _lane(number: int, stretches: tuple[Stretch, ...], steps: Sequence[Transition]) -> Lane:
    own = [step for step in steps if step.attempt == number]
    workers = [step.worker for step in own if step.worker]
    last = own[-1] if own else None
    return Lane(
        number=number + 1,
        stretches=stretches,
        worker=workers[-1] if workers else None,
        state=last.state if last else TaskState.PENDING,
        note=last.note if last else None,
    )


def _blind(window: BlindWindow, stretches: Sequence[Stretch]) -> Blind | None:
    x = _place(window.began_at, stretches)
    end = 100.0 if window.ended_at is None else _place(window.ended_at, stretches, last=True)
    if x >= 100.0 or end <= 0.0:
        return None
    return Blind(round(x, 3), round(max(NARROWEST / 2, end - x), 3), window)


def _place(at: float, stretches: Sequence[Stretch], last: bool = False) -> float:
    """Where a moment is, in percent. Within a stretch that goes on that depends on when one looks:
    there it is the first edge, or the `last`."""
    for each in stretches:
        if each.end is None:
            return each.x + each.width * (last and at > each.begin)
        if at <= each.begin:
            return each.x
        if at < each.end:
            return each.x + each.width * (at - each.begin) / (each.end - each.begin)
    return 100.0
