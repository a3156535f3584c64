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
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from app.domain.events import Json
from app.domain.tasks import SEQ_SHIFT, Task, TaskState, Transition
from app.feed.times import moment, print_micros, print_moment, print_seconds, read_moment

SUMMARY_VALUE = 1024
"""Characters of one value in a summary: a page of 100 rows and a tick's frame stay small."""
CUT = "…"
"""Ends a text that was cut."""

_encoder = msgspec.json.Encoder()
_plain_id = re.compile(r"[A-Za-z0-9_.-]+").fullmatch


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
_STATES = {state: f'"{state}"' for state in TaskState}
_UNRELATED = '"parent_id":null,"group_id":null,"chord_id":null,"retry_of":null'
"""Most tasks have nothing to do with others."""
_NO_LINKS = (None, None, None, None)


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
    task_id = task.id
    if _plain_id(task_id):
        own, path = f'"{task_id}"', "/tasks/" + task_id
    else:
        own, path = _dump(task_id), task_path(task_id)
    # One expression for all: several times as fast as an encoder of objects, and the recorder
    # encodes every change. `traceback` and `story` are what only a whole task has.
    printed = (
        f'{{"id":{own},"name":{_name(task.name)},"state":{_STATES[task.state]}'
        f',"custom_state":{_name(task.custom_state)},"args":{args},"args_repr":{args_repr}'
        f',"kwargs":{kwargs},"kwargs_repr":{kwargs_repr},"result":{result}'
        f',"result_repr":{result_repr},"exception":{error}{traceback}'
        f',"queue":{_name(task.queue)},"worker":{_name(task.worker)}'
        f',"priority":{"null" if task.priority is None else task.priority}'
        f',"retries":{task.retries},"eta":{print_moment(task.eta)},"expires":{print_moment(task.expires)}'
        f',"sent_at":{print_moment(task.sent_at)},"received_at":{print_moment(task.received_at)}'
        f',"started_at":{print_moment(task.started_at)},"finished_at":{print_moment(task.finished_at)}'
        f',"wait_seconds":{print_seconds(task.wait)},"runtime_seconds":{print_seconds(task.runtime)}'
        f',"progress":{_progress(task)}'
        f',"root_id":{own if task.root_id == task_id else _id(task.root_id)}'
        f',{_related(task)},"redelivery_at":{print_moment(task.redelivery_at)}{story}'
        f',"seen_at":{print_micros(task.seq >> SEQ_SHIFT)},"seq":"{task.seq}"'
        f',"links":{{"self":"{path}","events":"{path}/events","page":"/ui{path}"}}}}'
    )
    return printed.encode("utf-8", "replace")


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


def _related(task: Task) -> str:
    links = (task.parent_id, task.group_id, task.chord_id, task.retry_of)
    if links == _NO_LINKS:
        return _UNRELATED
    parent, group, chord, retried = map(_id, links)
    return f'"parent_id":{parent},"group_id":{group},"chord_id":{chord},"retry_of":{retried}'


def _id(text: str | None) -> str:
    if text is None:
        return "null"
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
        if text is None:
            return "null", "null"
        return "null", _dump(text if len(text) <= SUMMARY_VALUE else _cut(text))
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
