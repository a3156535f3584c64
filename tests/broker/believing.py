"""From events to what the domain believes of the tasks that they are about."""

from collections.abc import Iterable
from typing import get_args

from app.domain.events import Event, TaskEvent
from app.domain.reduce import begin, reduce
from app.domain.tasks import Task, TaskState

TASK_EVENTS = get_args(TaskEvent)

OUTCOMES = {
    "succeeds": {TaskState.SUCCESS},
    "fails": {TaskState.FAILURE},
    "retries": {TaskState.SUCCESS},
    "progresses": {TaskState.SUCCESS},
    # Celery says nothing of the end of an ignored task.
    "ignores": {TaskState.STARTED},
    # Some versions and pools call a late Reject a failure as well.
    "rejects": {TaskState.REJECTED, TaskState.FAILURE},
    "calls": {TaskState.SUCCESS},
    "waits": {TaskState.SUCCESS},
    "expires": {TaskState.REVOKED},
    "revoked": {TaskState.REVOKED},
    "prioritized": {TaskState.SUCCESS},
}
"""What becomes of each task of the scenario in tests/stock/scenario.py."""


class Believed(dict[str, Task]):
    """Tasks by id, as the events so far tell of them."""

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, TASK_EVENTS):
                if event.task_id in self:
                    reduce(self[event.task_id], event)
                else:
                    self[event.task_id] = begin(event)


def loses_events(version: str, pool: str) -> bool:
    """Up to 5.6 the threads pool drops some of the events that it sends from several threads."""
    return pool == "threads" and version < "5.7"


def check_scenario(
    tasks: Believed, ids: dict[str, str], queue: str, worker: str, *, lossy: bool = False
) -> None:
    """The tasks of the scenario are known as far as Celery tells anybody."""
    for what, task_id in ids.items():
        task = tasks[task_id]
        if lossy and what in ("ignores", "rejects"):  # they have no result that would tell
            continue
        assert task.state in OUTCOMES[what], (what, task)
        assert task.queue == queue, (what, task)
        assert task.sent_at is not None, (what, task)
        assert task.worker == worker or task.state is TaskState.REVOKED, (what, task)
        assert task.finished_at is not None or what == "ignores", (what, task)
    done = tasks[ids["succeeds"]]
    assert (done.name, done.args_repr, done.kwargs_repr) == ("stock.add", "(2,)", "{'y': 3}")
    assert done.result == "5"
    assert lossy or (done.result_repr == "5" and done.runtime is not None)
    failed = tasks[ids["fails"]]
    assert failed.exception == "ValueError('no <b>such</b> thing')"
    assert "stock_app.py" in (failed.traceback or "")
    assert tasks[ids["retries"]].retries == 1
    assert tasks[ids["waits"]].eta is not None
    called = [task for task in tasks.values() if task.parent_id == ids["calls"]]
    assert [(task.name, task.args_repr, task.result) for task in called] == [
        ("stock.add", "(1, 2)", "3")
    ]
    states = [step.state for step in tasks[ids["progresses"]].transitions]
    assert TaskState.PROGRESS in states
