"""Quantiles of sketches are within the promised bound, however the sketch came to be."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lanes import counts_of
from app.domain.sketch import ACCURACY, LAST, LONGEST, SHORTEST, Sketch

PARTS = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
PROMISED = 0.02
"""What people are told; the sketch itself is twice as exact."""
DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "of one kind of work": lambda chance: chance.lognormvariate(-2, 0.3),
    "of widely different work": lambda chance: chance.lognormvariate(1, 2),
    "even": lambda chance: chance.uniform(0.001, 30),
    "with a long tail": lambda chance: 0.01 * chance.paretovariate(1.1),
    "in two heaps": lambda chance: chance.choice((0.004, 45.0)) * chance.uniform(0.9, 1.1),
    "always the same": lambda chance: 0.25,
    "of days": lambda chance: chance.uniform(3_600, 20 * 86_400),
}
seconds = st.floats(SHORTEST * 1.001, LONGEST * 0.999)


def sketch_of(durations: Sequence[float]) -> Sketch:
    made = Sketch()
    made.add(durations)
    return made


def check(sketch: Sketch, durations: Sequence[float], within: float = ACCURACY) -> None:
    ordered = sorted(durations)
    exact = [ordered[int(part * (len(ordered) - 1))] for part in PARTS]
    assert sketch.quantiles(*PARTS) == pytest.approx(exact, rel=within + 1e-9)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_are_within_the_promised_bound(name: str) -> None:
    chance = random.Random(name)
    durations = [DISTRIBUTIONS[name](chance) for _ in range(20_000)]
    check(sketch_of(durations), durations, PROMISED)


@given(st.lists(st.lists(seconds, max_size=30), min_size=1, max_size=5))
def test_merged_sketches_are_those_of_all_durations(parts: list[list[float]]) -> None:
    every = [each for part in parts for each in part]
    found = Sketch()
    for part in parts:
        found.merge(sketch_of(part))
    assert found.settled() == sketch_of(every).settled()
    assert found.count == len(every)
    if every:
        check(found, every)
        assert found.mean == pytest.approx(sum(every) / len(every))


@given(st.lists(seconds, min_size=1, max_size=30), st.lists(seconds, max_size=30))
def test_what_is_taken_back_leaves_no_trace(kept: list[float], taken: list[float]) -> None:
    sketch = sketch_of([*taken, *kept])
    sketch.add(taken, -1)
    check(sketch, kept)
    assert sketch.count == len(kept)


@given(st.lists(st.floats(), max_size=20))
def test_durations_that_no_task_can_have_break_nothing(durations: list[float]) -> None:
    sketch = sketch_of(durations)
    first, counts = counts_of(sketch.settled())
    assert first + len(counts) <= LAST + 2
    assert sum(counts) == sketch.count == len(durations)
    assert 0 <= (sketch.mean or 0) <= LONGEST


def test_beyond_the_bounds_a_quantile_is_the_bound() -> None:
    assert sketch_of([0.0, 1e-9]).quantiles(0.5, 1) == [SHORTEST, SHORTEST]
    assert sketch_of([1e9]).quantiles(0.5) == [LONGEST]


def test_where_nothing_was_added_nothing_is_told() -> None:
    assert Sketch().quantiles(0.5, 0.99) == [None, None]
    assert Sketch().mean is None
