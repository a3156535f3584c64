"""What we may know of Redis's clock: never more than it may show."""

import time

from app.broker.clock import Clock


def shown(clock: Clock, moment: float) -> float:
    return clock.microseconds(moment) / 1_000_000


def test_a_clock_is_taken_to_show_the_least_that_it_can() -> None:
    clock = Clock()
    now = time.monotonic()
    assert not clock.fresh
    clock.learn(now, now + 0.4, 5_000.0)
    assert clock.fresh
    # It showed 5,000 at some moment of those 0.4 s: at their end in the most careful reading.
    assert abs(shown(clock, now + 0.4) - 5_000.0) < 1e-5


def test_a_quicker_answer_tells_more_and_a_slower_one_nothing() -> None:
    clock = Clock()
    now = time.monotonic()
    clock.learn(now, now + 0.4, 5_000.0)
    clock.learn(now + 1.0, now + 1.1, 5_001.05)
    assert abs(shown(clock, now) - 4_999.95) < 1e-5
    clock.learn(now + 2.0, now + 4.0, 5_002.5)
    assert abs(shown(clock, now) - 4_999.95) < 1e-5


def test_a_clock_that_was_set_back_is_believed() -> None:
    clock = Clock()
    now = time.monotonic()
    clock.learn(now, now + 0.1, 5_000.0)
    clock.learn(now + 1.0, now + 1.1, 4_001.0)
    assert shown(clock, now + 1.0) <= 4_001.0
