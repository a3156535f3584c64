"""Charts draw what is known, leave a gap where nothing is, and never a 0 for what nobody knows."""

import re

import pytest

from app.domain.tasks import TaskState
from app.store.blind_windows import BlindWindow
from app.store.figures import Ended
from app.web.figures import Asked, Charted, Found
from app.web.pages import scales
from app.web.pages.chart import Chart, draw
from app.web.pages.scales import Span

FIRST = 1_790_000_040
STEPS = 10


def ended(succeeded: int, failed: int = 0, seconds: float = 0.1) -> Ended:
    found = Ended(counts={TaskState.SUCCESS: succeeded, TaskState.FAILURE: failed})
    found.run.add([seconds] * (succeeded + failed))
    return found


def chart(
    series: dict[int, Ended],
    known_since: float | None = FIRST - 9_999,
    heard_since: float | None = None,
    away_since: float | None = None,
    blind: tuple[BlindWindow, ...] = (),
    late: float = 30.0,
) -> Chart:
    """Of ten minutes, of which the last has lasted for `late` seconds."""
    asked = Asked(FIRST, FIRST + (STEPS - 1) * 60 + late, 60)
    total = Ended()
    for each in series.values():
        total.merge(each)
    moments = {FIRST + place * 60: each for place, each in series.items()}
    found = Charted(Found(asked, total, moments, ()), blind, known_since)
    return draw(found, heard_since, away_since)


def paths(found: Chart, plot: str, layer: str) -> str:
    [one] = [each for each in found.plots if each.key == plot]
    return next((each.path for each in one.layers if each.name == layer), "")


def test_bars_stand_on_each_other_to_scale() -> None:
    found = chart({0: ended(60, 20), 9: ended(5)})
    assert found.plots[0].ticks[-1].words == "80"
    assert paths(found, "count", "succeeded") == "M1.2 100h7.6V25h-7.6zM91.2 100h7.6V93.8h-7.6z"
    assert paths(found, "count", "failed") == "M1.2 25h7.6V0h-7.6z"
    assert paths(found, "rate", "failed") == "M1.2 100h7.6V50h-7.6z"


def test_one_failure_in_a_million_is_seen() -> None:
    found = chart({0: ended(1_000_000, 1)})
    [(bottom, top)] = re.findall(r"M\S+ ([\d.]+)h[\d.]+V([\d.]+)h", paths(found, "count", "failed"))
    assert float(bottom) - float(top) >= 1


def test_a_line_has_a_gap_where_nothing_ran() -> None:
    found = chart({0: ended(1), 1: ended(1), 3: ended(1)})
    assert paths(found, "run", "line p50").count("M") == 2
    assert paths(found, "wait", "line p50") == ""


def test_before_anything_was_heard_all_is_unknown() -> None:
    found = chart({8: ended(3)}, known_since=FIRST + 8 * 60)
    assert [step.known for step in found.steps] == [False] * 8 + [True] * 2
    assert [(band.x, band.width) for band in found.bands] == [(0.0, 80.0)]
    assert found.data.split(";")[0] == f"{FIRST}|" + "—|" * 12 + "unknown: nobody listened"


def test_a_quiet_time_that_was_heard_is_a_zero() -> None:
    found = chart({}, known_since=None, heard_since=FIRST - 60)
    assert all(step.known for step in found.steps)
    assert found.bands == ()
    assert found.data.split(";")[0].startswith(f"{FIRST}|0|0|0|0|0|—|")


def test_a_time_in_which_nobody_listened_is_a_band_and_unknown() -> None:
    window = BlindWindow(began_at=FIRST + 90, ended_at=FIRST + 240, cause="started")
    again = BlindWindow(began_at=FIRST + 200, ended_at=FIRST + 210, cause="overload")
    found = chart({2: ended(4), 5: ended(1)}, blind=(window, again))
    assert [(band.x, band.width) for band in found.bands] == [(15.0, 25.0)]
    assert [step.known for step in found.steps[:5]] == [True, True, True, False, True]
    assert [step.unheard for step in found.steps[:5]] == [0, 30, 60, 60, 0]
    assert found.steps[2].note == "nobody listened for 1 min of it"


@pytest.mark.parametrize("window", [None, BlindWindow(began_at=FIRST + 300, cause="started")])
def test_since_the_recorder_is_away_nothing_is_known(window: BlindWindow | None) -> None:
    found = chart({0: ended(1)}, away_since=FIRST + 300, blind=(window,) if window else ())
    assert [step.known for step in found.steps] == [True] * 5 + [False] * 5
    assert [(band.x, band.width) for band in found.bands] == [(50.0, 45.0)]


def test_a_short_window_is_wide_enough_to_be_seen() -> None:
    window = BlindWindow(began_at=FIRST + 599, ended_at=FIRST + 599.5, cause="overload")
    [band] = chart({}, blind=(window,), late=60.0).bands
    assert (band.x, band.width) == (99.6, 0.4)


def test_figures_taken_back_below_zero_are_drawn_as_none() -> None:
    found = chart({0: Ended(counts={TaskState.LOST: -1, TaskState.SUCCESS: 1})})
    assert paths(found, "count", "lost") == ""
    assert found.steps[0].failed == 0


@pytest.mark.parametrize(
    ("greatest", "top"), [(0, 2), (1, 2), (3, 4), (10, 10), (11, 20), (60, 60), (101, 200)]
)
def test_a_scale_of_counts_has_a_whole_half(greatest: int, top: int) -> None:
    scale = scales.of_counts(greatest)
    assert scale.high == top
    assert [tick.words for tick in scale.ticks] == ["0", str(top // 2), str(top)]


def test_a_scale_of_durations_holds_what_it_is_for() -> None:
    scale = scales.of_durations(0.004, 3.0)
    assert [tick.words for tick in scale.ticks] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
    assert scale.y(0.001) == 100
    assert scale.y(10.0) == 0
    assert scales.of_durations(0.0001, 30 * 86_400.0).y(30 * 86_400.0) < 15


@pytest.mark.parametrize(
    ("step", "steps"), [(60, 15), (60, 60), (300, 72), (600, 144), (3_600, 168), (21_600, 120)]
)
def test_words_below_a_chart_are_few_and_within_it(step: int, steps: int) -> None:
    ticks = list(scales.of_time(Span(FIRST // step * step, step, steps)))
    assert 2 <= len(ticks) <= scales.MOMENTS
    assert all(scales.EDGE <= tick.at <= 100 - scales.EDGE for tick in ticks)
