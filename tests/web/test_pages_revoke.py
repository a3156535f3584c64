"""What a task's page says of a revoke that was asked for, and when one can be asked for."""

from dataclasses import replace

import pytest

from app.domain.tasks import Task, TaskState
from app.store.audit import AuditEntry
from app.web.pages.assets import StaticAssets
from app.web.pages.render import Templates
from app.web.pages.task_page import allowed
from tests.web.test_pages_lost import page_of, words


@pytest.mark.parametrize("action", ["revoke", "terminate"])
def test_what_was_asked_for_is_shown_with_how_long_it_is_kept(action: str) -> None:
    entry = AuditEntry(at=1.0, actor="ada", action=action, outcome="done")
    page = replace(page_of(Task(id="a", state=TaskState.STARTED)), pending=(entry,))
    said = words(Templates(StaticAssets())("task/_progress.html", page=page))
    assert f"{action.capitalize()} requested by ada" in said
    assert "kept, and told to every worker that comes, until a worker says so" in said


@pytest.mark.parametrize(
    ("state", "redelivery_at", "may"),
    [
        (TaskState.PENDING, None, True),
        (TaskState.LOST, 2e9, True),
        (TaskState.LOST, None, False),
        (TaskState.SUCCESS, 2e9, False),
    ],
)
def test_what_can_still_run_can_be_revoked(
    state: TaskState, redelivery_at: float | None, may: bool
) -> None:
    task = Task(id="a", state=state, redelivery_at=redelivery_at)
    assert (allowed(task).revoke is None) is may
