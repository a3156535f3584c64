"""A task as a row, and back. What the database would refuse is made harmless here."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from app.domain.tasks import Task, TaskState, Transition
from app.store.schema import STATES, tasks

INLINE = 4 * 1024
"""Characters of a value that stand in the row: about a page of SQLite. Longer ones stand in
`task_values`, with their beginning in the row for lists and searches."""
HEAD = 1_000
"""Characters of a long value that stay in the row: as many as a search looks through."""
VALUE_LIMIT = 1024 * 1024
"""Characters of a value that are kept at all: the size of the largest request that is taken.
Of a longer one the beginning is kept as its repr."""
TEXT_LIMIT = 64 * 1024
"""Characters of a traceback or an exception; a traceback of a thousand frames is longer."""
REPR_LIMIT = 16 * 1024
"""Characters of a repr and of a message; Celery cuts its own at about 1,024."""
ID_LENGTH = 1_000
"""Characters of an id or a name; Celery sets no limit, and nobody types longer ones."""
TRANSITIONS_LIMIT = 200
"""Steps of one story that are kept: the first few and the latest."""
_FIRST_STEPS = 20
STEP_LENGTH = 200
"""Characters of a step's note where a whole story would be longer than TEXT_LIMIT."""
_LARGEST = 2**31 - 1
_LARGEST_SEQ = 2**62 - 2**41

FIELDS = ("args", "kwargs", "result")
"""Values that can stand outside the row; the number of each is its place in `task_values`."""
COLUMNS = tuple(column.name for column in tasks.columns)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


def clean(text: str | None, limit: int) -> str | None:
    """Text that any database takes: no NUL, no lone surrogate, not over `limit` characters."""
    if text is None:
        return None
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def small(number: int | None) -> int | None:
    """A number that fits 32 bits; the nearest that does."""
    if number is None or -_LARGEST <= number <= _LARGEST:
        return number
    return max(-_LARGEST, min(int(number), _LARGEST))


def finite(moments: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """The same moments, with None for what is no number of seconds."""
    if isfinite(sum([moment for moment in moments if moment is not None])):
        return moments
    return tuple(each if each is not None and isfinite(each) else None for each in moments)


def within(seq: int) -> int:
    """A place that the table and the text index, which doubles it, have room for.

    Places outside are of clocks centuries off; they are spread, as they would all be one.
    """
    if 0 <= seq <= _LARGEST_SEQ:
        return seq
    return _LARGEST_SEQ + (seq ^ (seq >> 41)) % 2**40


def harmless(texts: Iterable[str | None]) -> bool:
    """Whether `clean` would change none of them, found much faster than by calling it."""
    together = "".join(filter(None, texts))
    return len(together) <= ID_LENGTH and together.isascii() and "\0" not in together


def steps_text(transitions: list[Transition]) -> str:
    """A story as compact JSON."""
    if len(transitions) > TRANSITIONS_LIMIT:
        latest = transitions[_FIRST_STEPS - TRANSITIONS_LIMIT :]
        transitions = transitions[:_FIRST_STEPS] + latest
    try:
        text = _encode(transitions).decode()
        if len(text) <= TEXT_LIMIT:
            return text
    except UnicodeEncodeError:
        pass
    return _encode([_clean_step(step) for step in transitions]).decode()


def _clean_step(step: Transition) -> tuple[Any, ...]:
    note = clean(step.note, STEP_LENGTH)
    return (step.state, step.at, clean(step.worker, STEP_LENGTH), step.attempt, note)


def steps_of(text: str) -> list[Transition]:
    """The story that `steps_text` made."""
    return [
        # JSON has no infinity: a time that is none became null.
        Transition(TaskState(state), float(at or 0.0), worker, attempt, note)
        for state, at, worker, attempt, note in _decode(text)
    ]


def to_task(row: RowMapping, outside: Mapping[int, str], *, whole: bool) -> Task:
    """The task of a row with its labels' texts; a summary unless `whole`."""
    task = Task(
        id=row["id"],
        seq=row["seq"],
        name=row["name"],
        state=STATES[row["state"]],
        custom_state=row["custom_state"],
        args=row["args"],
        kwargs=row["kwargs"],
        result=row["result"],
        args_repr=row["args_repr"],
        kwargs_repr=row["kwargs_repr"],
        result_repr=row["result_repr"],
        exception=row["exception"],
        queue=row["queue"],
        worker=row["worker"],
        priority=row["priority"],
        retries=row["retries"],
        eta=row["eta"],
        expires=row["expires"],
        sent_at=row["sent_at"],
        received_at=row["received_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        runtime=row["runtime"],
        progress_current=row["progress_current"],
        progress_total=row["progress_total"],
        progress_message=row["progress_message"],
        root_id=row["id"] if row["root_id"] == "" else row["root_id"],
        parent_id=row["parent_id"],
        group_id=row["group_id"],
        retry_of=row["retry_of"],
        chord_id=row["chord_id"],
        redelivery_at=row["redelivery_at"],
    )
    if whole:
        task.traceback = row["traceback"]
        task.transitions = steps_of(row["transitions"])
    if row["outside"]:
        _bring_in(task, row["outside"], outside)
    return task


def _bring_in(task: Task, bits: int, outside: Mapping[int, str]) -> None:
    for place, field in enumerate(FIELDS):
        if not bits & (1 << place):
            continue
        value = outside.get(place)
        if value is None and getattr(task, field + "_repr") is None:
            setattr(task, field + "_repr", getattr(task, field) + "…")
        setattr(task, field, value)
