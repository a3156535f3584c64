"""A task's story: its steps with what came between, and the drawing of its time."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.tasks import Task, Transition
from app.store.blind_windows import BlindWindow
from app.web.pages.timeline import Timeline, draw_timeline

FOLDED = 8
"""Steps; more are folded away, for the drawing tells them too."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, with how long after the step before it came."""

    transition: Transition
    after: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Steps oldest first; the drawing, where any moment is known; and how long all of it took."""

    steps: tuple[Step, ...]
    timeline: Timeline | None
    attempts: int
    total: float | None

    @property
    def is_folded(self) -> bool:
        return len(self.steps) > FOLDED


def tell(task: Task, blind: Sequence[BlindWindow] = ()) -> Story:
    """The story so far; `blind` are times in which nobody listened."""
    order = sorted(task.transitions, key=lambda one: one.at)
    steps = tuple(
        Step(one, None if before is None else max(0.0, one.at - before.at))
        for before, one in zip([None, *order], order, strict=False)
    )
    attempts = 1 + max([task.retries, *(one.attempt for one in order)])
    total = order[-1].at - order[0].at if len(order) > 1 and task.state.ended else None
    return Story(steps, draw_timeline(task, blind), attempts, total)
