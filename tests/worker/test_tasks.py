"""The sample tasks, called as the functions that they are."""

import math
import statistics

import pytest

from worker.statistics import MOST_NUMBERS, quantile
from worker.tasks import add, long_task, process_data

NOT_NUMBERS = [True, "1", None, [1], {"a": 1}]
NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400]


def test_add_adds_whole_numbers_exactly() -> None:
    assert add(2, 3) == 5
    assert add(2**70, 1) == 2**70 + 1


def test_add_adds_fractions() -> None:
    assert add(1.5, -0.25) == 1.25


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_add_refuses_what_is_no_number_and_says_which(value: object) -> None:
    with pytest.raises(TypeError, match="y has to be a number"):
        add(1, value)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_add_refuses_numbers_that_are_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="x has to be a finite number"):
        add(value, 1)


def test_add_refuses_a_sum_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="larger than"):
        add(1e308, 1e308)


def test_long_task_says_how_long_it_slept() -> None:
    assert long_task(0.01) == {"slept": 0.01}
    assert long_task(0) == {"slept": 0}


@pytest.mark.parametrize("seconds", [-1, -0.001, 86_400.1, 10**9])
def test_long_task_refuses_seconds_out_of_range(seconds: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 86400"):
        long_task(seconds)


@pytest.mark.parametrize("seconds", NOT_NUMBERS)
def test_long_task_refuses_what_is_no_number(seconds: object) -> None:
    with pytest.raises(TypeError, match="seconds has to be a number"):
        long_task(seconds)


def test_long_task_refuses_numbers_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="seconds has to be a finite number"):
        long_task(math.nan)


def test_process_data_describes_numbers() -> None:
    numbers = [4, 1.5, -2, 8, 3.25, 3.25]
    assert process_data(numbers) == {
        "count": 6,
        "sum": 18.0,
        "mean": 3.0,
        "min": -2.0,
        "max": 8.0,
        "median": 3.25,
        "stdev": pytest.approx(statistics.stdev(numbers)),
        "p95": 7.0,
    }


def test_process_data_has_no_deviation_for_one_number() -> None:
    figures = process_data([7])
    assert figures["stdev"] is None
    assert figures["p95"] == figures["median"] == 7.0


def test_process_data_agrees_with_the_standard_library_on_many_numbers() -> None:
    numbers = [math.sin(n) * n for n in range(10_001)]
    figures = process_data(numbers)
    assert figures["mean"] == pytest.approx(statistics.fmean(numbers))
    assert figures["median"] == pytest.approx(statistics.median(numbers))
    assert figures["stdev"] == pytest.approx(statistics.stdev(numbers))
    inclusive = statistics.quantiles(numbers, n=20, method="inclusive")
    assert figures["p95"] == pytest.approx(inclusive[18])


def test_process_data_refuses_an_empty_list() -> None:
    with pytest.raises(ValueError, match="at least one number"):
        process_data([])


def test_process_data_refuses_more_numbers_than_it_can_hold() -> None:
    with pytest.raises(ValueError, match="at most 1,000,000"):
        process_data([0] * (MOST_NUMBERS + 1))


@pytest.mark.parametrize("data", ["123", 5, None, {"0": 1}, True])
def test_process_data_refuses_what_is_no_list(data: object) -> None:
    with pytest.raises(TypeError, match="data has to be a list of numbers"):
        process_data(data)


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_process_data_says_which_number_is_none(value: object) -> None:
    with pytest.raises(TypeError, match=r"data\[250\] has to be a number"):
        process_data([0.0] * 250 + [value] + [0.0] * 250)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_process_data_says_which_number_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match=r"data\[1\] has to be a finite number"):
        process_data([1, value])


@pytest.mark.parametrize("data", [[1e308] * 3, [1e308, 1e308, -1.7e308, -1.7e308]])
def test_process_data_refuses_numbers_whose_figures_overflow(data: list[float]) -> None:
    with pytest.raises(ValueError, match="too large"):
        process_data(data)


def test_large_numbers_do_not_overflow_a_deviation_that_fits() -> None:
    assert process_data([1e200, 3e200])["stdev"] == pytest.approx(math.sqrt(2) * 1e200)


def test_a_quantile_lies_between_the_nearest_ranks() -> None:
    assert quantile([0.0, 10.0], 0.95) == pytest.approx(9.5)
    assert quantile([1.0], 0.95) == 1.0
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0
