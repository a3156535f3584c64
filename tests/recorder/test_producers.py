"""Which published messages are skipped, what counts as a gap, and what is remembered."""

import time

import pytest

from app.broker.durable import Mark, Words, quoted
from app.recorder import producers as module
from app.recorder.producers import DROPPED, WITHHELD, Producers

NOW = 1_000.0
HOST = quoted("w1@test")


class Clock:
    """Our monotonic clock, in the test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 50.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def words(number: int, total: int = 1, at: float = NOW, process: str = "a", d: int = 0) -> Words:
    return Words(f"w1@test|1|{process}", number, total, at, ["event"] * total, d)  # type: ignore[list-item]


def following(clock: Clock) -> Producers:
    found = Producers({})
    found.reading = found.following = True
    found.followed_at = clock.at
    return found


def test_only_who_was_heard_on_the_stream_of_late_is_skipped(clock: Clock) -> None:
    known = following(clock)
    assert not known.skips(Mark(HOST, 1, False))
    known.hear(words(1))
    assert known.skips(Mark(HOST, 1, False))
    assert not known.skips(Mark(quoted("w2@test"), 1, False))
    clock.at += 61
    assert not known.skips(Mark(HOST, 2, False))


def test_nothing_is_skipped_while_the_stream_cannot_be_read(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(1))
    known.reading = False
    assert not known.skips(Mark(HOST, 2, False))


def test_who_is_there_now_is_not_learned_from_the_past(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(1))
    known.following = False
    assert known.skips(Mark(HOST, 2, False))
    assert not known.skips(Mark(HOST, 2, True))


def test_what_is_published_and_overdue_on_the_stream_is_heard_and_told(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(1))
    assert known.skips(Mark(HOST, 2, False))
    clock.at += 11
    assert known.skips(Mark(HOST, 3, False)), "the stream was not read to its end since"
    known.followed_at = clock.at
    assert not known.skips(Mark(HOST, 4, False))
    assert not known.skips(Mark(HOST, 5, False))
    [window] = known.take_windows()
    assert (window.cause, window.source) == (WITHHELD, "w1@test")
    known.hear(words(2, 4))
    assert known.skips(Mark(HOST, 6, False))
    assert known.take_windows() == []


def test_what_came_over_the_stream_first_is_not_overdue(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(1, 5))
    assert known.skips(Mark(HOST, 3, False))
    clock.at += 11
    known.followed_at = clock.at
    assert known.skips(Mark(HOST, 4, False))
    assert known.take_windows() == []


def test_a_new_process_of_a_name_counts_anew(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(500))
    assert len(known.hear(words(1, process="b"))) == 1
    assert len(known.hear(words(501))) == 1
    assert known.take_windows() == []


def test_gaps_that_the_stream_has_told_are_not_told_again(clock: Clock) -> None:
    known = following(clock)
    known.hear(words(1))
    known.excuse()
    assert len(known.hear(words(10))) == 1
    assert known.take_windows() == []
    known.hear(words(12))
    [window] = known.take_windows()
    assert window.cause == DROPPED
    assert known.dropped == 1


def test_gaps_far_apart_are_two_windows(clock: Clock) -> None:
    known = following(clock)
    for number, at in ((1, NOW), (3, NOW + 1), (4, NOW + 100), (6, NOW + 101)):
        known.hear(words(number, at=at))
    assert len(known.take_windows()) == 2


def test_what_is_heard_twice_is_left_out(clock: Clock) -> None:
    known = following(clock)
    assert len(known.hear(words(1, 4))) == 4
    assert len(known.hear(words(1, 4))) == 0
    assert len(known.hear(words(3, 4))) == 2
    assert known.take_windows() == []


def test_numbers_are_kept_and_taken_up_again(clock: Clock) -> None:
    known = Producers({})
    known.hear(words(1, 4))
    kept = known.take_positions()
    assert known.take_positions() == {}
    again = Producers(
        {name: value.replace(f"{NOW:.3f}", f"{time.time()}") for name, value in kept.items()}
    )
    assert len(again.hear(words(5))) == 1
    assert again.take_windows() == []
    again.hear(words(7))
    assert len(again.take_windows()) == 1


def test_only_so_many_producers_are_remembered(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRODUCERS_LIMIT", 10)
    known = Producers({})
    for number in range(25):
        known.hear(words(1, process=f"{number}", at=time.time()))
    assert len(known) == 10
    forgotten = known.take_forgotten(time.time())
    assert len(forgotten) == 15
    assert known.take_forgotten(time.time()) == []
    assert known.take_positions().keys().isdisjoint(forgotten)


def test_who_was_silent_for_a_week_and_what_is_no_number_are_forgotten(clock: Clock) -> None:
    old = f"3 {time.time() - 8 * 86_400}"
    known = Producers(
        {"producer:old": old, "producer:odd": "x", "producer:new": f"3 {time.time()}"}
    )
    assert len(known) == 1
    assert known.take_forgotten(time.time()) == ["producer:odd", "producer:old"]
