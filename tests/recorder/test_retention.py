"""Deleting goes in short transactions: as many tasks as fit into one."""

import pytest

from app.recorder.retention import FEWEST, MOST, TRANSACTION_SECONDS, fitting


@pytest.mark.parametrize(
    ("tasks", "took", "expected"),
    [
        (100, TRANSACTION_SECONDS, 100),
        (100, TRANSACTION_SECONDS * 1.25, 80),
        (100, TRANSACTION_SECONDS * 40, 50),
        (100, TRANSACTION_SECONDS / 40, 125),
        (30, TRANSACTION_SECONDS * 40, FEWEST),
        (450, TRANSACTION_SECONDS / 40, MOST),
    ],
)
def test_the_next_transaction_has_as_many_tasks_as_fit(
    tasks: int, took: float, expected: int
) -> None:
    assert fitting(tasks, took) == expected
