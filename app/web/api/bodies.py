"""What may be sent to the REST API: each body is decoded by, and documented from, one of these."""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.domain.search import MAX_SEARCH

MAX_SECONDS = 86_400
"""A day: longer sleeps are a mistake of units."""
MAX_NUMBERS = 1_000_000
"""Numbers in one computation: a worker holds them in memory."""
MAX_BATCH = 10_000
"""Tasks in one batch: Redis does nothing else while it takes them all, some 50 ms."""
MAX_NAME = 255
"""Characters of a task's, queue's or task id's name: Celery's own database backends allow that."""
MAX_DELAY = 10 * 365 * 86_400
"""Seconds from now; a worker holds a delayed task in memory all that time."""
MAX_PRIORITY = 255
"""Priorities of AMQP go up to that; Redis has as many as its priority steps."""
MAX_RETRIES = 1_000_000
"""More is "for ever"."""

Number = int | float
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Seconds = Annotated[int, Meta(ge=0, le=MAX_SECONDS)] | Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
Delay = Annotated[int, Meta(ge=0, le=MAX_DELAY)] | Annotated[float, Meta(ge=0, le=MAX_DELAY)]
Moment = Annotated[
    str,
    Meta(max_length=64, description="RFC 3339, such as 2026-11-22T18:00:00Z"),
]
Expiry = Annotated[
    Delay | Moment,
    Meta(description="Seconds from now, or an RFC 3339 time; a worker then drops it unrun"),
]
Priority = Annotated[int, Meta(ge=0, le=MAX_PRIORITY)]
Positional = Annotated[
    Raw, Meta(description="The positional arguments", extra_json_schema={"type": "array"})
]
Keyword = Annotated[
    Raw, Meta(description="The arguments by name", extra_json_schema={"type": "object"})
]


class Add(Struct, forbid_unknown_fields=True):
    """Two numbers to add: `worker.tasks.add`."""

    x: Annotated[Number, Meta(examples=[2])]
    y: Annotated[Number, Meta(examples=[3])]


class Long(Struct, forbid_unknown_fields=True):
    """How long to sleep, reporting progress: `worker.tasks.long_task`."""

    seconds: Annotated[Seconds, Meta(examples=[30])]


class Process(Struct, forbid_unknown_fields=True):
    """Numbers to describe by count, sum, mean and more: `worker.tasks.process_data`."""

    data: Annotated[
        list[Number], Meta(min_length=1, max_length=MAX_NUMBERS, examples=[[1, 2.5, 4]])
    ]


class Submit(Struct, forbid_unknown_fields=True, kw_only=True):
    """Any registered task, with Celery's own options. Give `countdown` or `eta`, not both."""

    name: Annotated[Name, Meta(examples=["worker.tasks.add"])]
    args: Positional | UnsetType = UNSET
    kwargs: Keyword | UnsetType = UNSET
    queue: Name | None = None
    countdown: Delay | None = None
    eta: Moment | None = None
    expires: Expiry | None = None
    priority: Priority | None = None
    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None
    task_id: Name | None = None


class Batch(Struct, forbid_unknown_fields=True):
    """Tasks to send in order, all of them or none."""

    tasks: Annotated[list[Submit], Meta(min_length=1, max_length=MAX_BATCH)]


class Mark(Struct, forbid_unknown_fields=True, kw_only=True):
    """Something that happened, such as a deployment: at a moment, or now."""

    title: Annotated[str, Meta(examples=["Deployed the shop"])]
    at: Moment | None = None
    version: Annotated[str, Meta(examples=["v1.2"])] | None = None
    url: Annotated[str, Meta(examples=["https://example.com/releases/v1.2"])] | None = None


class View(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a saved view shows; what is left out is as the list usually is."""

    q: Annotated[str, Meta(max_length=MAX_SEARCH, examples=["state:failure since:24h"])] = ""
    sort: Annotated[str, Meta(examples=["-runtime"])] | None = None
    columns: Annotated[list[str], Meta(examples=[["state", "task", "ran"]])] = []


class NamedView(View, forbid_unknown_fields=True, kw_only=True):
    """A new view with its name."""

    name: Annotated[str, Meta(examples=["Failed today"])]


class Retry(Struct, forbid_unknown_fields=True, kw_only=True):
    """What should differ when a task is run again; what is left out stays as it was."""

    args: Positional | UnsetType = UNSET
    kwargs: Keyword | UnsetType = UNSET
    queue: Name | None = None
    countdown: Delay | None = None
    eta: Moment | None = None
    expires: Expiry | None = None
    priority: Priority | None = None
