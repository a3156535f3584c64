"""One task, wherever it is known: in the store, or just submitted and on its way there."""

import time
from math import inf

from app.broker.ledger import find_submitted
from app.domain.errors import NotFound
from app.domain.tasks import Task, TaskState
from app.store import tasks
from app.web.state import Umbel

ID_LIMIT = 1024
"""Characters of a task id worth looking up; Celery's own have 36."""
LOOK_AGAIN_SECONDS = 15.0
"""A waiting request reads the store this often even without news: the feed may be away."""

LAST_WORDS_SECONDS = 0.3
"""The result backend tells an end at once; when it began and how long it ran, the worker tells
a moment later. Whoever follows a task gets both."""


class LastWords:
    """How much longer a task is to be followed."""

    def __init__(self, task: Task) -> None:
        self._over_at = 0.0 if task.state.ended else inf

    def left(self, task: Task) -> float:
        """Seconds; 0 when nothing more is to be waited for."""
        if not task.state.ended:
            self._over_at = inf
        elif _is_told(task):
            return 0.0
        elif self._over_at == inf:
            self._over_at = time.monotonic() + LAST_WORDS_SECONDS
        return max(0.0, self._over_at - time.monotonic())


def _is_told(task: Task) -> bool:
    """Its end and all that led there."""
    return task.whole and (task.runtime is not None or task.state is not TaskState.SUCCESS)


async def find_task(umbel: Umbel, task_id: str) -> Task:
    """The task. Raises NotFound where nobody has heard of it."""
    if len(task_id) <= ID_LIMIT:
        found = await umbel.reading(tasks.get, umbel.db, task_id)
        if found is None:
            found = await find_submitted(umbel.broker, umbel.transport, task_id)
        if found is not None:
            return found
    raise NotFound(f"No task {task_id[:100]!r} has been heard of.")


async def await_end(umbel: Umbel, task_id: str, seconds: float) -> Task:
    """The task once it has ended, or as it is after so many seconds or when the server stops."""
    with umbel.news.watch(task_id) as watch:
        task = await find_task(umbel, task_id)
        until = time.monotonic() + seconds
        words = LastWords(task)
        while not umbel.streams.closing:
            left = min(until - time.monotonic(), words.left(task))
            if left <= 0:
                break
            await watch.wait(min(left, LOOK_AGAIN_SECONDS))
            if watch.ended or watch.newest is None:
                watch.gap = False
                task = await find_task(umbel, task_id)
            watch.take()
    return task
