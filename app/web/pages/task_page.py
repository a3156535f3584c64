"""All that the page of one task shows, read together."""

import asyncio
import time
from dataclasses import dataclass

from app.domain.tasks import RUNNING, Task, TaskState
from app.operations.revoke import is_open
from app.store import audit, blind_windows
from app.store.audit import AuditEntry
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.lost import reason_of
from app.store.relatives import Relatives, relatives_of
from app.web.language import gettext as _
from app.web.pages import actions
from app.web.pages.dashboard import Dashboard
from app.web.pages.formats import ran
from app.web.pages.states import state_word
from app.web.pages.story import Story, tell
from app.web.pages.values import Failure, Shown, Value
from app.web.state import Umbel
from app.web.tasks import find_task
from app.web.usual import UNKNOWN, Usual

REQUESTS = 50
"""Requests shown: what people asked to be done to one task."""
WINDOWS = 20
"""Blind windows marked in one timeline; more of them are one trouble."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be done now: None, or why not."""

    revoke: str | None
    terminate: str | None
    retry: str | None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """All that the page of one task shows."""

    task: Task
    story: Story
    values: tuple[Value, ...]
    allowed: Allowed
    relatives: Relatives
    failure: Failure | None = None
    requests: tuple[AuditEntry, ...] = ()
    pending: tuple[AuditEntry, ...] = ()
    usual: Usual = UNKNOWN
    links: tuple[tuple[str, str], ...] = ()
    lost_because: str | None = None
    unread: bool = False
    """It waits in a queue that no worker reads."""

    @property
    def ran(self) -> float | None:
        """Seconds that it ran, where it has ended."""
        return ran(self.task)

    @property
    def is_running(self) -> bool:
        return self.task.state in RUNNING

    @property
    def is_waiting(self) -> bool:
        """It can run at any moment: nothing says that it is to wait."""
        task = self.task
        waits = task.state in (TaskState.PENDING, TaskState.RECEIVED)
        return waits and (task.eta is None or task.eta <= time.time())

    @property
    def waits_since(self) -> float | None:
        """Since when nothing but a free worker is missing."""
        task = self.task
        since = task.received_at if task.retries or task.sent_at is None else task.sent_at
        return since if since is None or task.eta is None else max(since, task.eta)

    @property
    def is_slow(self) -> bool:
        """It runs, or ran, longer than 95 % of its like."""
        usual, seconds = self.usual.run_p95, self.ran
        if self.is_running and self.task.started_at is not None:
            seconds = time.time() - self.task.started_at
        return usual is not None and seconds is not None and seconds > usual


async def read_page(
    dashboard: Dashboard, task_id: str, shown: Shown, relatives: Relatives | None = None
) -> TaskPage:
    """Reads it all, but for relatives that are given. Raises NotFound, StoreUnavailable."""
    umbel = dashboard.umbel
    task = await find_task(umbel, task_id)
    requests, windows, usual, found = await asyncio.gather(
        umbel.reading(audit.entries, umbel.db, task_id, REQUESTS),
        umbel.reading(_windows, umbel.db, task),
        dashboard.usuals.of(task.name),
        _relatives(umbel, task, relatives),
    )
    asked = tuple(entry for entry in requests if entry.action in actions.SHOWN)
    pending = tuple(entry for entry in asked if entry.action in actions.REQUESTS)
    return TaskPage(
        task=task,
        story=tell(task, windows),
        values=shown.values(task),
        allowed=allowed(task),
        relatives=found,
        failure=shown.failure(task),
        requests=asked,
        pending=pending if is_open(task) else (),
        usual=usual,
        links=tuple(umbel.links.of(task)),
        lost_because=reason_of(task.transitions) if task.state is TaskState.LOST else None,
        unread=task.state is TaskState.PENDING and _is_unread(dashboard, task.queue),
    )


def allowed(task: Task) -> Allowed:
    """What may be done to a task in its present state."""
    ended = (
        None if is_open(task) else _("It has ended: %(state)s.", state=state_word(task.state.value))
    )
    running = None if task.state in RUNNING else _("It is not running now.")
    if task.name is None:
        again: str | None = _("Its name is not known yet.")
    elif not task.state.ended:
        again = _("It has not ended yet.")
    elif _only_repr(task.args, task.args_repr) or _only_repr(task.kwargs, task.kwargs_repr):
        again = _("Only a shortened text of its arguments is known: give them below.")
    else:
        again = None
    return Allowed(ended, ended or running, again)


def _only_repr(value: str | None, text: str | None) -> bool:
    return value is None and text not in (None, "", "()", "[]", "{}")


def _windows(db: Database, task: Task) -> list[BlindWindow]:
    """The blind windows of its time."""
    moments = [step.at for step in task.transitions]
    if not moments:
        return []
    until = max(moments) if task.state.ended else time.time()
    return blind_windows.between(db, min(moments), until, WINDOWS)


def _is_unread(dashboard: Dashboard, name: str | None) -> bool:
    whole = dashboard.shell.latest
    found = [queue for queue in whole.queues if queue.name == name] if whole else []
    return bool(found) and not found[0].consumers


async def _relatives(umbel: Umbel, task: Task, known: Relatives | None) -> Relatives:
    return await umbel.reading(relatives_of, umbel.db, task) if known is None else known
