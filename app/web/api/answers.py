"""What the REST API answers, for its documentation and for the answers it makes itself."""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from app.domain.tasks import TaskState
from app.feed.codec import Progress, Step, task_path
from app.feed.fleet import QueueJson, WorkerJson
from app.web.security import HEADERS, NO_STORE

JSON = "application/json"
CONTENT_TYPE = (b"content-type", JSON.encode())

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Value = Annotated[Any, Meta(description="Null where it is not known, or too large for a list")]
Shortened = Annotated[str, Meta(description="Celery's shortened text, where only that is known")]


class Links(Struct, frozen=True, rename={"self_": "self"}):
    """Where a task is read, followed and looked at."""

    self_: str
    events: str
    page: str


class TaskSummary(Struct, frozen=True, kw_only=True):
    """A task as lists and the event stream carry it. Null: not known, or not so far."""

    id: str
    name: str | None
    state: TaskState
    custom_state: Annotated[str, Meta(description="The application's own word for it")] | None
    args: Value
    args_repr: Shortened | None
    kwargs: Value
    kwargs_repr: Shortened | None
    result: Value
    result_repr: Shortened | None
    exception: str | None
    queue: str | None
    worker: str | None
    priority: int | None
    retries: int
    eta: Moment | None
    expires: Moment | None
    sent_at: Moment | None
    received_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    wait_seconds: float | None
    runtime_seconds: float | None
    progress: Progress | None
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    chord_id: Annotated[str | None, Meta(description="The task that its chord ends in")]
    retry_of: str | None
    redelivery_at: Annotated[
        Moment | None,
        Meta(description="When the broker hands it out again: whoever had it is gone"),
    ]
    seen_at: Annotated[Moment, Meta(description="The first moment known of it")] | None
    seq: Annotated[str, Meta(description="Its place in the list: larger is newer")]
    links: Links


class Asked(Struct, frozen=True):
    """What somebody asked to be done to a task, and how that went."""

    action: str
    at: Moment | None
    by: str
    outcome: str | None


class TaskDetail(TaskSummary, frozen=True, kw_only=True):
    """All that is known of a task."""

    traceback: str | None
    transitions: list[Step]
    retried_as: Annotated[list[str], Meta(description="Tasks by which it was run again")]
    requests: list[Asked]


class Submitted(Struct, frozen=True):
    """A task that was sent."""

    task_id: str
    state: str
    links: Links


class SubmittedBatch(Struct, frozen=True):
    """Tasks that were sent, in the order of the request."""

    task_ids: tuple[str, ...]
    count: int


class Retried(Struct, frozen=True):
    """The new task by which a task is run again."""

    task_id: str
    state: str
    retry_of: str
    links: Links


class Requested(Struct, frozen=True):
    """What was asked of the workers. They say themselves when it is so.

    `heard`: by how many workers. `withdrawn`: its message waited, and is off its queue.
    """

    task_id: str
    requested: str
    terminate: bool
    signal: str | None
    heard: int
    withdrawn: bool


class Matching(Struct, frozen=True):
    """How many tasks match the filters: exactly, or about so many."""

    count: int
    exact: bool


class TaskPage(Struct, frozen=True):
    """Summaries of tasks; `next` is the cursor of the following page."""

    tasks: list[TaskSummary]
    next: str | None
    total: Annotated[Matching | UnsetType, Meta(description="With `count=true`")] = UNSET


class WorkerList(Struct, frozen=True):
    """Every worker that was ever heard of and not yet forgotten."""

    workers: list[WorkerJson]


class QueueList(Struct, frozen=True):
    """Every queue that is known."""

    queues: list[QueueJson]


class CatalogEntry(Struct, frozen=True):
    """A task that can be submitted. `schema` is null where its workers can only say its name;
    `schemas` are several while workers of two versions of the application run."""

    name: str
    doc: str | None
    schema: dict[str, Any] | None
    schemas: list[dict[str, Any]]
    workers: list[str]


class CatalogList(Struct, frozen=True):
    """Every task that an online worker has registered."""

    tasks: list[CatalogEntry]


def links_of(task_id: str) -> Links:
    """The links of a task; its id quoted for a path."""
    path = task_path(task_id)
    return Links(path, path + "/events", "/ui" + path)


def accepted(more: Iterable[tuple[bytes, bytes]], size: int) -> bytes:
    """The head of a whole answer of so many bytes that says that tasks were sent: what an endpoint
    says, `more` that this one does, and what the gate adds to every answer."""
    lines = [b"%b: %b\r\n" % each for each in more]
    return b"%b%bcontent-length: %d\r\n" % (_ACCEPTED, b"".join(lines), size)


_ACCEPTED = b"HTTP/1.1 202 Accepted\r\n" + b"".join(
    [b"%b: %b\r\n" % each for each in (CONTENT_TYPE, *HEADERS, NO_STORE)]
)
