"""Tasks, workers and queues as the JSON that REST, the event stream and scripts read.

Field names and their order are the public contract. Values that a task was given or gave
back are embedded as the text they came as, so that integers beyond 2**53 and the order of
keys stay exactly as they were: `Task.args`, `kwargs` and `result` hold valid JSON text, which
`app.broker.translate` has made sure of.

A summary is what lists and the feed carry: the same fields less traceback and transitions,
and without values over `SUMMARY_VALUE`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from app.domain.events import Json
from app.domain.tasks import Task, TaskState, Transition
from app.feed.times import moment, print_moment, read_moment

SUMMARY_VALUE = 1024
"""Characters of one value in a summary: a page of 100 rows and a tick's frame stay small."""
CUT = "…"
"""Ends a text that was cut."""

_encoder = msgspec.json.Encoder()
_plain_id = re.compile(r"[A-Za-z0-9_.-]+").fullmatch

_TASK = (
    '{"id":%s,"name":%s,"state":"%s","custom_state":%s,"args":%s,"args_repr":%s,"kwargs":%s,'
    '"kwargs_repr":%s,"result":%s,"result_repr":%s,"exception":%s%s,"queue":%s,"worker":%s,'
    '"priority":%s,"retries":%s,"eta":%s,"expires":%s,"sent_at":%s,"received_at":%s,'
    '"started_at":%s,"finished_at":%s,"wait_seconds":%s,"runtime_seconds":%s,"progress":%s,'
    '"root_id":%s,"parent_id":%s,"group_id":%s,"chord_id":%s,"retry_of":%s,'
    '"redelivery_at":%s%s,"seen_at":%s,"seq":"%d",'
    '"links":{"self":"%s","events":"%s/events","page":"/ui%s"}}'
)
"""One format for all: three times as fast as an encoder of objects, and the recorder encodes
every change. The bare `%s` are what only a whole task has: its traceback, its story."""


class Progress(Struct, frozen=True):
    """How far a task says it is."""

    current: float | int | None
    total: float | int | None
    message: str | None


class Step(Struct, frozen=True, omit_defaults=True):
    """One transition; what is not known or ordinary is left out."""

    state: str
    at: str | None
    worker: str | None = None
    attempt: int = 0
    note: str | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """What is read back of a summary."""

    id: str
    seq: str
    name: str | None
    state: TaskState
    custom_state: str | None
    args: Raw
    args_repr: str | None
    kwargs: Raw
    kwargs_repr: str | None
    result: Raw
    result_repr: str | None
    exception: str | None
    queue: str | None
    worker: str | None
    priority: int | None
    retries: int
    eta: str | None
    expires: str | None
    sent_at: str | None
    received_at: str | None
    started_at: str | None
    finished_at: str | None
    runtime_seconds: float | None
    progress: Progress | None
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    chord_id: str | None
    retry_of: str | None
    redelivery_at: str | None


_decoder = msgspec.json.Decoder(Summary)


def encode_summary(task: Task) -> bytes:
    """The task as lists and the feed carry it."""
    return _encode(task, _short, "", "")


def encode_task(
    task: Task,
    *,
    requests: Sequence[Mapping[str, object]] = (),
    retried_as: Sequence[str] = (),
) -> bytes:
    """All of the task.

    `requests` are what people asked to be done to it, each a JSON object; `retried_as` are
    the ids of the tasks that were made of it by running it again.
    """
    story = {
        "transitions": [_step(transition) for transition in task.transitions],
        "retried_as": retried_as,
        "requests": requests,
    }
    return _encode(task, _whole, ',"traceback":' + _quote(task.traceback), "," + _dump(story)[1:-1])


def decode_summary(data: bytes) -> Task:
    """The task of a summary, with what a summary carries. Raises ValueError for other bytes."""
    try:
        found = _decoder.decode(data)
    except msgspec.DecodeError:  # escapes of lone surrogates: JSON to some, not to all
        loose = json.dumps(json.loads(data), ensure_ascii=False)
        found = _decoder.decode(loose.encode("utf-8", "replace"))
    progress = found.progress or Progress(None, None, None)
    return Task(
        id=found.id,
        seq=int(found.seq),
        name=found.name,
        state=found.state,
        custom_state=found.custom_state,
        args=_text(found.args),
        kwargs=_text(found.kwargs),
        result=_text(found.result),
        args_repr=found.args_repr,
        kwargs_repr=found.kwargs_repr,
        result_repr=found.result_repr,
        exception=found.exception,
        queue=found.queue,
        worker=found.worker,
        priority=found.priority,
        retries=found.retries,
        eta=read_moment(found.eta),
        expires=read_moment(found.expires),
        sent_at=read_moment(found.sent_at),
        received_at=read_moment(found.received_at),
        started_at=read_moment(found.started_at),
        finished_at=read_moment(found.finished_at),
        runtime=found.runtime_seconds,
        progress_current=progress.current,
        progress_total=progress.total,
        progress_message=progress.message,
        root_id=found.root_id,
        parent_id=found.parent_id,
        group_id=found.group_id,
        chord_id=found.chord_id,
        retry_of=found.retry_of,
        redelivery_at=read_moment(found.redelivery_at),
    )


def task_path(task_id: str) -> str:
    """Where the task is read."""
    return "/tasks/" + (
        task_id if _plain_id(task_id) else quote(task_id, safe="", errors="replace")
    )


def path_part(name: str) -> str:
    """An id or a name as one part of a URL's path."""
    return name if _plain_id(name) else quote(name, safe="", errors="replace")


_Printed = tuple[str, str]


def _encode(
    task: Task,
    value: Callable[[Json | None, str | None], _Printed],
    traceback: str,
    story: str,
) -> bytes:
    args, args_repr = value(task.args, task.args_repr)
    kwargs, kwargs_repr = value(task.kwargs, task.kwargs_repr)
    result, result_repr = value(task.result, task.result_repr)
    exception = task.exception
    if exception is None:
        error = "null"
    else:
        error = _quote(_cut(exception) if value is _short else exception)
    own = _id(task.id)
    path = task_path(task.id)
    printed = _TASK % (
        own,
        _name(task.name),
        task.state,
        "null" if task.custom_state is None else _name(task.custom_state),
        args,
        args_repr,
        kwargs,
        kwargs_repr,
        result,
        result_repr,
        error,
        traceback,
        _name(task.queue),
        _name(task.worker),
        "null" if task.priority is None else task.priority,
        task.retries,
        "null" if task.eta is None else print_moment(task.eta),
        "null" if task.expires is None else print_moment(task.expires),
        "null" if task.sent_at is None else print_moment(task.sent_at),
        "null" if task.received_at is None else print_moment(task.received_at),
        "null" if task.started_at is None else print_moment(task.started_at),
        "null" if task.finished_at is None else print_moment(task.finished_at),
        _seconds(task.wait),
        _seconds(task.runtime),
        _progress(task),
        own if task.root_id == task.id else "null" if task.root_id is None else _id(task.root_id),
        "null" if task.parent_id is None else _id(task.parent_id),
        "null" if task.group_id is None else _id(task.group_id),
        "null" if task.chord_id is None else _id(task.chord_id),
        "null" if task.retry_of is None else _id(task.retry_of),
        "null" if task.redelivery_at is None else print_moment(task.redelivery_at),
        story,
        print_moment(task.seen_at),
        task.seq,
        path,
        path,
        path,
    )
    return printed.encode("utf-8", "replace")


def _seconds(seconds: float | None) -> float | str:
    if seconds is None or not isfinite(seconds):
        return "null"
    return int(seconds * 1e6 + 0.5) / 1e6


def _dump(value: object) -> str:
    """JSON of anything that holds text, also text that isn't Unicode (lone surrogates)."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value))


def _quote(text: str | None) -> str:
    return "null" if text is None else _dump(text)


_name = lru_cache(maxsize=4096)(_quote)
"""Names of tasks, queues and workers come again and again."""


def _id(text: str) -> str:
    return f'"{text}"' if _plain_id(text) else _dump(text)


def _progress(task: Task) -> str:
    current, total, message = task.progress_current, task.progress_total, task.progress_message
    if current is None and total is None and message is None:
        return "null"
    return _dump(
        Progress(_plain(current), _plain(total), None if message is None else _cut(message))
    )


def _plain(number: float | None) -> float | int | None:
    """3 rather than 3.0: what the task most likely said."""
    if number is not None and float(number).is_integer():
        return int(number)
    return number


def _short(value: Json | None, text: str | None) -> _Printed:
    if value is None:
        return "null", "null" if text is None else _quote(_cut(text))
    if len(value) <= SUMMARY_VALUE:
        return value, "null"
    return "null", _quote(_cut(text or value))


def _whole(value: Json | None, text: str | None) -> _Printed:
    return ("null", _quote(text)) if value is None else (value, "null")


def _cut(text: str) -> str:
    return text if len(text) <= SUMMARY_VALUE else text[: SUMMARY_VALUE - 1] + CUT


def _text(value: Raw) -> Json | None:
    text = bytes(value).decode()
    return None if text == "null" else text


def _step(transition: Transition) -> Step:
    return Step(
        transition.state,
        moment(transition.at),
        transition.worker,
        transition.attempt,
        transition.note,
    )
