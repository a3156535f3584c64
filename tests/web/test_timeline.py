"""A task's time, to scale: every moment in one stretch, and what nobody knows said as such."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.tasks import Task, TaskState, Transition
from app.store.blind_windows import BlindWindow
from app.web.pages.story import tell
from app.web.pages.stretches import Kind, Stretch
from app.web.pages.timeline import (
    LANES,
    NARROWEST,
    OPEN_SHARE,
    Timeline,
    broken_weights,
    draw_timeline,
    widths,
)
from tests.store.samples import any_task

PENDING, RECEIVED, STARTED = TaskState.PENDING, TaskState.RECEIVED, TaskState.STARTED
PROGRESS, RETRY, SUCCESS, LOST = (
    TaskState.PROGRESS,
    TaskState.RETRY,
    TaskState.SUCCESS,
    TaskState.LOST,
)


def drawn(*steps: Transition, **task: object) -> Timeline:
    found = draw_timeline(Task(id="a", transitions=list(steps), **task))  # type: ignore[arg-type]
    assert found is not None
    return found


def stretches(line: Timeline) -> list[Stretch]:
    return [each for lane in line.lanes for each in lane.stretches]


def kinds(line: Timeline) -> list[tuple[Kind, float | None]]:
    return [(each.kind, each.seconds) for each in stretches(line)]


def test_a_plain_run_is_queued_held_and_run_to_scale() -> None:
    line = drawn(
        Transition(PENDING, 100.0),
        Transition(RECEIVED, 101.0, "w1"),
        Transition(STARTED, 102.0, "w1"),
        Transition(SUCCESS, 104.0, "w1"),
        state=SUCCESS,
    )

    assert kinds(line) == [(Kind.QUEUED, 1.0), (Kind.HELD, 1.0), (Kind.RUN, 2.0)]
    assert [each.width for each in stretches(line)] == [25.0, 25.0, 50.0]
    assert (line.lanes[0].worker, line.lanes[0].state) == ("w1", SUCCESS)


def test_progress_is_one_run() -> None:
    line = drawn(
        Transition(PENDING, 1.0),
        Transition(STARTED, 2.0, "w1"),
        Transition(PROGRESS, 3.0, "w1"),
        Transition(PROGRESS, 4.0, "w1", 0, "uploading"),
        Transition(SUCCESS, 6.0),
        state=SUCCESS,
    )

    assert kinds(line)[-1] == (Kind.RUN, 4.0)


def test_each_attempt_has_its_lane_with_its_worker_its_waits_and_its_error() -> None:
    line = drawn(
        Transition(PENDING, 0.0),
        Transition(RECEIVED, 1.0, "w1"),
        Transition(STARTED, 2.0, "w1"),
        Transition(RECEIVED, 3.9, "w2", 1),
        Transition(RETRY, 4.0, "w1", 0, "Timeout()"),
        Transition(STARTED, 14.0, "w2", 1),
        Transition(SUCCESS, 15.0, "w2", 1),
        state=SUCCESS,
        retries=1,
    )

    assert [(lane.number, lane.worker, lane.state, lane.note) for lane in line.lanes] == [
        (1, "w1", RETRY, "Timeout()"),
        (2, "w2", SUCCESS, None),
    ]
    assert [each.kind for each in line.lanes[0].stretches] == [
        Kind.QUEUED,
        Kind.HELD,
        Kind.RUN,
        Kind.PAUSE,
    ]
    assert [each.kind for each in line.lanes[1].stretches] == [Kind.HELD, Kind.RUN]


def test_until_it_is_due_a_task_is_scheduled_wherever_its_message_is() -> None:
    line = drawn(
        Transition(PENDING, 0.0),
        Transition(RECEIVED, 1.0, "w1"),
        Transition(STARTED, 61.0, "w1"),
        Transition(SUCCESS, 62.0, "w1"),
        state=SUCCESS,
        eta=60.0,
    )

    assert kinds(line) == [
        (Kind.SCHEDULED, 1.0),
        (Kind.SCHEDULED, 59.0),
        (Kind.HELD, 1.0),
        (Kind.RUN, 1.0),
    ]


def test_what_was_not_heard_is_said_to_be_unknown() -> None:
    unsent = drawn(Transition(RECEIVED, 5.0), Transition(SUCCESS, 9.0), state=SUCCESS)
    lost = drawn(
        Transition(PENDING, 0), Transition(STARTED, 5.0), Transition(LOST, 9.0), state=LOST
    )
    ended = drawn(Transition(SUCCESS, 9.0), state=SUCCESS)

    assert kinds(unsent) == [(Kind.UNKNOWN, 0.0), (Kind.UNKNOWN, 4.0)]
    assert kinds(lost) == [(Kind.QUEUED, 5.0), (Kind.UNKNOWN, 4.0)]
    assert kinds(ended)[0][0] is Kind.UNKNOWN
    assert unsent.is_unsure
    assert lost.is_unsure


def test_a_start_that_the_worker_measured_is_known_though_nobody_heard_it() -> None:
    line = drawn(
        Transition(PENDING, 0.0),
        Transition(SUCCESS, 10.0, "w1"),
        state=SUCCESS,
        started_at=7.0,
        finished_at=10.0,
    )

    assert kinds(line) == [(Kind.QUEUED, 7.0), (Kind.RUN, 3.0)]


def test_a_task_delivered_again_after_it_was_lost_goes_on() -> None:
    line = drawn(
        Transition(PENDING, 0.0),
        Transition(STARTED, 1.0, "w1"),
        Transition(LOST, 5.0, "w1"),
        Transition(RECEIVED, 9.0, "w2"),
        state=RECEIVED,
    )

    assert [each.kind for each in stretches(line)][-2:] == [Kind.UNKNOWN, Kind.HELD]
    assert line.end is None


def test_a_stretch_that_goes_on_has_no_end_and_looks_the_same_at_any_time() -> None:
    steps = [Transition(PENDING, time.time() - 10), Transition(STARTED, time.time() - 5)]
    line = drawn(*steps, state=STARTED)
    running = stretches(line)[-1]

    assert (running.end, running.weight, running.width) == (None, None, OPEN_SHARE)
    assert line == drawn(*steps, state=STARTED)


def test_a_wait_that_dwarfs_the_rest_is_broken_and_a_run_never() -> None:
    assert broken_weights([3_600.0, 1.0, 2.0], [True, True, False]) == [6.0, 1.0, 2.0]
    assert broken_weights([1.0, 3_600.0], [True, False]) == [1.0, 3_600.0]
    assert broken_weights([5.0, 1.0], [True, False]) == [5.0, 1.0]
    assert broken_weights([99.0, 1.0, None], [True, True, False]) == [99.0, 1.0, None]
    assert broken_weights([5.0, 0.0], [True, False]) == [5.0, 0.0]


def test_of_very_many_attempts_the_first_and_the_latest_are_drawn() -> None:
    steps = [
        Transition(state, attempt * 10 + after, "w", attempt)
        for attempt in range(30)
        for after, state in enumerate((RECEIVED, STARTED, RETRY))
    ]
    line = drawn(*steps, state=RETRY, retries=29)

    assert len(line.lanes) == LANES
    assert [line.lanes[0].number, line.lanes[-1].number] == [1, 30]
    assert (line.attempts, line.left_out) == (30, 30 - LANES)


@pytest.mark.parametrize(
    ("began_at", "ended_at", "place"),
    [(2.0, 4.0, (20.0, 20.0)), (-5.0, 5.0, (0.0, 50.0)), (20.0, 30.0, None), (-9.0, -1.0, None)],
)
def test_times_in_which_nobody_listened_are_marked(
    began_at: float, ended_at: float, place: tuple[float, float] | None
) -> None:
    steps = [Transition(PENDING, 0.0), Transition(STARTED, 5.0), Transition(SUCCESS, 10.0)]
    task = Task(id="a", state=SUCCESS, transitions=steps)
    blind = BlindWindow(began_at=began_at, ended_at=ended_at, cause="Redis was away")
    line = tell(task, [blind]).timeline
    assert line is not None
    found = [(each.x, each.width) for each in line.blind]

    assert found == ([] if place is None else [place])


def test_a_story_tells_what_came_after_what() -> None:
    steps = [Transition(PENDING, 100.0), Transition(STARTED, 101.0), Transition(SUCCESS, 104.0)]
    story = tell(Task(id="a", state=SUCCESS, transitions=steps))

    assert [step.after for step in story.steps] == [None, 1.0, 3.0]
    assert story.total == 4.0


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=40))
def test_widths_fill_the_drawing_and_each_can_be_seen(weights: list[float | None]) -> None:
    found = widths(weights[:1] + [each for each in weights[1:] if each is not None])

    assert sum(found) == pytest.approx(100)
    assert min(found) > NARROWEST / 2


@given(any_task)
def test_no_task_is_too_odd_to_be_drawn(task: Task) -> None:
    line = draw_timeline(task, [BlindWindow(began_at=1.0, cause="x")])

    assert (line is None) == (not task.transitions and task.started_at is None)
    if line is not None:
        ends = [each.end for each in stretches(line)[:-1]]
        assert None not in ends
        assert all(0 <= each.x <= 100.001 for each in stretches(line))
