"""Plain tasks are written by a shorter way: as the same row, and found by the same words."""

from dataclasses import replace

import pytest

from app.domain.tasks import Task, TaskState, Transition
from app.store import task_rows
from app.store.labels import Kind
from app.store.rows import COLUMNS

NUMBERS = {
    Kind.NAME: {"app.add": 1, None: None},
    Kind.QUEUE: {"celery": 2, None: None},
    Kind.WORKER: {"w1@test": 3, None: None},
}
PLAIN = Task(
    id="t1",
    seq=7,
    name="app.add",
    state=TaskState.SUCCESS,
    queue="celery",
    worker="w1@test",
    priority=3,
    retries=1,
    sent_at=1.0,
    received_at=2.0,
    started_at=3.0,
    finished_at=4.0,
    runtime=1.0,
    root_id="t1",
    args_repr="(1, 2)",
    kwargs_repr="{}",
    result_repr="3",
    transitions=[Transition(TaskState.SUCCESS, 4.0)],
)


@pytest.mark.parametrize(
    "task",
    [
        PLAIN,
        Task(id="t1", seq=7),
        replace(PLAIN, root_id="another"),
        replace(PLAIN, root_id=None, priority=None, retries=0, runtime=None),
        replace(PLAIN, priority=10**9, retries=10**9, runtime=float("inf")),
    ],
)
def test_a_plain_task_has_the_row_and_the_words_that_it_would_have_otherwise(task: Task) -> None:
    plain = task_rows._plain_cells(task.id, task, NUMBERS)  # type: ignore[arg-type]
    cells = task_rows._cells(task.id, task, NUMBERS, [])  # type: ignore[arg-type]
    assert plain is not None
    given = dict(zip(task_rows._PLAIN, plain, strict=True))
    assert {name: given.get(name) for name in COLUMNS} == dict(zip(COLUMNS, cells, strict=True))
    assert task_rows._searched_plain(task) == task_rows._searched(task, cells)


@pytest.mark.parametrize(
    "more",
    [
        {"args": "[1]"},
        {"exception": "Boom()"},
        {"eta": 5.0},
        {"parent_id": "p"},
        {"retry_of": "r"},
        {"redelivery_at": 9.0},
        {"progress_current": 1.0},
        {"result_repr": "a\x00b"},
        {"root_id": "x" * 10_000},
    ],
)
def test_a_task_with_more_than_that_is_not_plain(more: dict[str, object]) -> None:
    task = replace(PLAIN, **more)  # type: ignore[arg-type]
    assert task_rows._plain_cells(task.id, task, NUMBERS) is None  # type: ignore[arg-type]
