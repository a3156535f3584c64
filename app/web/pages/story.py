"""A task's story: its steps, and how long it stayed in each, to scale."""

from dataclasses import dataclass
from itertools import pairwise

from app.domain.tasks import RUNNING, Task, Transition

WIDTH = 1000
"""Units of the drawing's width."""
NARROWEST = 6
"""Units of the narrowest part: a millisecond beside an hour is still there to point at."""
OPEN_SHARE = 0.25
"""Of the width, for the present state of a task that has not ended: its end isn't known."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, with how long after the step before it came."""

    transition: Transition
    after: float | None


@dataclass(frozen=True, slots=True)
class Part:
    """The time in one state. `seconds` is None for the present one."""

    state: str
    x: float
    width: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Steps oldest first, and the parts of the drawing."""

    steps: tuple[Step, ...]
    parts: tuple[Part, ...]
    attempts: int
    total: float | None


def tell(task: Task) -> Story:
    """The story so far."""
    order = sorted(task.transitions, key=lambda one: one.at)
    steps = tuple(
        Step(one, None if before is None else max(0.0, one.at - before.at))
        for before, one in zip([None, *order], order, strict=False)
    )
    attempts = 1 + max([task.retries, *(one.attempt for one in order)])
    total = order[-1].at - order[0].at if len(order) > 1 and task.state.ended else None
    return Story(steps, _parts(order, task), attempts, total)


def _parts(order: list[Transition], task: Task) -> tuple[Part, ...]:
    if not order:
        return ()
    spans = [(_word(one), max(0.0, later.at - one.at)) for one, later in pairwise(order)]
    whole = sum(seconds for _, seconds in spans)
    open_width = 0.0 if task.state.ended else (WIDTH * OPEN_SHARE if spans else WIDTH)
    room = WIDTH - open_width
    widths = [max(NARROWEST, seconds / whole * room if whole else 0) for _, seconds in spans]
    scale = room / sum(widths) if widths else 1.0
    parts, x = [], 0.0
    for (word, seconds), width in zip(spans, widths, strict=True):
        parts.append(Part(word, round(x, 1), round(width * scale, 1), seconds))
        x += width * scale
    if open_width:
        parts.append(Part(_word(order[-1]), round(x, 1), round(open_width, 1), None))
    return tuple(parts)


def _word(transition: Transition) -> str:
    """The state that colours the time after a step; all running looks the same."""
    return "STARTED" if transition.state in RUNNING else transition.state.value
