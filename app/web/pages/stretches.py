"""What a task did from its first known moment to its last: stretches of time without a gap.

Each is in one attempt. Where what is known of a stretch is only that it passed, it says so.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

from app.domain.tasks import RUNNING, WAITING, Task, TaskState, Transition


class Kind(StrEnum):
    """What a task did in a stretch; each is drawn in its own way."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    HELD = "held"
    RUN = "run"
    PAUSE = "pause"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in one attempt, in seconds since the epoch. `end` None: it goes on.

    `state` colours it. `x` and `width` are percent of the drawing, `broken` drawn shorter than to
    scale. `weight` is what its width is made of, in seconds; None where it grows.
    """

    kind: Kind
    state: str
    attempt: int
    begin: float
    end: float | None
    worker: str | None = None
    broken: bool = False
    weight: float | None = 0.0
    x: float = 0.0
    width: float = 0.0

    @property
    def seconds(self) -> float | None:
        return None if self.end is None else max(0.0, self.end - self.begin)


def ordered(task: Task) -> list[Transition]:
    """Its steps in order of time, where attempts never overlap: a next attempt begins when the one
    before it has been heard of for the last time, whatever two clocks say."""
    steps = sorted(task.transitions, key=lambda step: (step.attempt, step.at))
    steps = [step for step in steps if isfinite(step.at)]
    began = task.started_at
    known = {step.state for step in steps if step.attempt == task.retries}
    if began is not None and isfinite(began) and not known & RUNNING:
        # The worker measured how long it ran, so its start is known though nobody heard of it.
        steps.append(Transition(TaskState.STARTED, began, task.worker, task.retries))
        steps.sort(key=lambda step: (step.attempt, step.at, step.state.ended))
    at, found = 0.0, []
    for step in steps:
        at = max(at, step.at)
        found.append(step._replace(at=at))
    return found


def stretches_of(task: Task, steps: Sequence[Transition]) -> list[Stretch]:
    """The stretches between such steps, in order; at least one."""
    found: list[Stretch] = []
    first = steps[0]
    if first.attempt == 0 and first.state is not TaskState.PENDING:
        # How long it waited before it was heard of, nobody knows.
        found.append(Stretch(Kind.UNKNOWN, TaskState.PENDING, 0, first.at, first.at))
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if step.state.ended and following is None:
            break
        end = None if following is None else following.at
        found += _between(task, step, following, end)
    if not found:  # its end is all that is known
        last = steps[-1]
        found = [Stretch(Kind.UNKNOWN, last.state, last.attempt, last.at, last.at, last.worker)]
    return _joined(found)


def _between(
    task: Task, step: Transition, following: Transition | None, end: float | None
) -> list[Stretch]:
    """What the task did from one step to the next: mostly one thing."""
    kind, worker = _kind(step, following), step.worker or None
    whole = Stretch(kind, step.state, step.attempt, step.at, end, worker)
    if kind is Kind.RUN:
        whole = replace(whole, state=TaskState.STARTED)
    due = task.eta
    if kind not in (Kind.QUEUED, Kind.HELD) or due is None or due <= step.at or step.attempt:
        return [whole]
    scheduled = replace(whole, kind=Kind.SCHEDULED, state="SCHEDULED")
    if end is not None and due >= end:
        return [scheduled]
    if end is None and due > time.time():
        return [scheduled]
    return [replace(scheduled, end=due), replace(whole, begin=due)]


def _kind(step: Transition, following: Transition | None) -> Kind:
    to = None if following is None else following.state
    if step.state in RUNNING:
        return Kind.UNKNOWN if to is TaskState.LOST else Kind.RUN
    if step.state is TaskState.RETRY:
        return Kind.PAUSE
    if step.state.ended:
        return Kind.UNKNOWN if step.state is TaskState.LOST else Kind.PAUSE
    ran = (TaskState.SUCCESS, TaskState.FAILURE, TaskState.RETRY, TaskState.LOST)
    if step.state in WAITING and to in ran:
        return Kind.UNKNOWN  # somewhere in it it began to run
    return Kind.HELD if step.state is TaskState.RECEIVED else Kind.QUEUED


def _joined(stretches: list[Stretch]) -> list[Stretch]:
    """The same with one run for all progress of it."""
    found: list[Stretch] = []
    for each in stretches:
        last = found[-1] if found else None
        same = last is not None and (last.kind, last.attempt) == (each.kind, each.attempt)
        if last is not None and same and each.kind is Kind.RUN:
            found[-1] = replace(last, end=each.end, worker=last.worker or each.worker)
        else:
            found.append(each)
    return found
