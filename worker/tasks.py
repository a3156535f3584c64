"""The three sample tasks. They check what they are given: anybody who reaches the broker can send.

Messages are acknowledged late, so each of them may run twice; none leaves anything behind that a
second run would spoil.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from celery import Task

from worker.celery_app import app
from worker.settings import LONGEST_TASK
from worker.statistics import MOST_NUMBERS, Figures, describe, finite

Number = int | float
STEP = 1.0
"""Seconds between two progress reports of a sleeping task."""
PERCENT = 100
"""A task that works through many numbers reports after each hundredth of them."""


@app.task
def add(x: Number, y: Number) -> Number:
    """Add two numbers."""
    finite(x, "x")
    finite(y, "y")
    total = x + y
    if isinstance(total, float) and not math.isfinite(total):
        raise ValueError("x + y is larger than a floating point number can be")
    return total


@app.task(bind=True)
def long_task(
    self: "Task[Any, Any]",
    seconds: Annotated[Number, {"minimum": 0, "maximum": LONGEST_TASK}],
) -> dict[str, Number]:
    """Sleep that many seconds, reporting progress each second."""
    finite(seconds, "seconds")
    if not 0 <= seconds <= LONGEST_TASK:
        raise ValueError(f"seconds has to be from 0 to {LONGEST_TASK}, not {seconds!r}")
    for slept in _sleep(seconds):
        _report(self, slept, seconds, f"slept {slept:g} of {seconds:g} seconds")
    return {"slept": seconds}


@app.task(bind=True)
def process_data(
    self: "Task[Any, Any]",
    data: Annotated[list[Number], {"minItems": 1, "maxItems": MOST_NUMBERS}],
) -> Figures:
    """Count, sum, mean, min, max, median, standard deviation and 95th percentile of numbers."""
    return describe(_checked(self, data))


def _sleep(seconds: Number) -> Iterator[Number]:
    """Sleep in steps, giving how much is done. A signal (soft time limit) ends it at any point."""
    began = time.monotonic()
    slept: Number = 0
    yield slept
    while slept < seconds:
        slept = min(seconds, slept + STEP)
        time.sleep(max(0.0, began + slept - time.monotonic()))
        yield slept


def _checked(task: "Task[Any, Any]", data: Sequence[Number]) -> list[float]:
    """The numbers as floats, each looked at, with progress reported on the way."""
    if not isinstance(data, list | tuple):
        raise TypeError(f"data has to be a list of numbers, not {type(data).__name__}")
    if not 1 <= len(data) <= MOST_NUMBERS:
        raise ValueError(f"data has to hold at least one number and at most {MOST_NUMBERS:,}")
    step = math.ceil(len(data) / PERCENT)
    numbers: list[float] = []
    for start in range(0, len(data), step):
        chunk = data[start : start + step]
        numbers += [finite(value, f"data[{start + i}]") for i, value in enumerate(chunk)]
        _report(task, len(numbers), len(data), f"{len(numbers):,} of {len(data):,} numbers")
    return numbers


def _report(task: "Task[Any, Any]", current: Number, total: Number, message: str) -> None:
    """Tell how far it is; a task called as a plain function has nobody to tell."""
    if task.request.id:
        meta = {"current": current, "total": total, "message": message}
        task.update_state(state="PROGRESS", meta=meta)
