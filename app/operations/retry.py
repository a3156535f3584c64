"""Running a task again: a new task with the same, or given, arguments."""

from dataclasses import dataclass

from app.broker.message import Submission
from app.domain.errors import Conflict
from app.domain.events import Json
from app.domain.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What should differ in the new task. None: as it was; a new task starts and ends anew.

    `eta` and `expires` are in seconds since the epoch.
    """

    args: Json | None = None
    kwargs: Json | None = None
    queue: str | None = None
    countdown: float | None = None
    eta: float | None = None
    expires: float | None = None
    priority: int | None = None

    @property
    def arguments(self) -> bool:
        """Arguments were given."""
        return self.args is not None or self.kwargs is not None


def again(task: Task, changes: Changes) -> Submission:
    """The task once more. Raises Conflict where its true arguments are not known.

    Celery's shortened repr of them is no substitute: running it would run something else.
    """
    if task.name is None:
        raise Conflict("The task's name was never heard, so it can't be run again.")
    return Submission(
        name=task.name,
        args=_known("args", changes.args, task.args),
        kwargs=_known("kwargs", changes.kwargs, task.kwargs),
        queue=changes.queue or task.queue,
        countdown=changes.countdown,
        eta=changes.eta,
        expires=changes.expires,
        priority=task.priority if changes.priority is None else changes.priority,
        retry_of=task.id,
    )


def _known(field: str, given: Json | None, true: Json | None) -> Json:
    value = true if given is None else given
    if value is None:
        raise Conflict(
            f"Of the task's {field} only a shortened text is known, so it can't be run again "
            f"as it was: give {field}."
        )
    return value
