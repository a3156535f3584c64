"""Tasks as lines of a file: CSV for spreadsheets, JSON lines for programs."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Any

import msgspec

from app.domain.columns import Column, Columns
from app.domain.filters import Sort, TaskFilter
from app.domain.tasks import Task
from app.feed.codec import encode_summary
from app.store import tasks as stored
from app.store.database import Database

EXPORT_LIMIT = 1_000_000
"""Tasks of one file: spreadsheets open 1,048,576 rows. A script goes on from the cursor."""

FIELDS = (
    "id",
    "name",
    "state",
    "custom_state",
    "args",
    "args_repr",
    "kwargs",
    "kwargs_repr",
    "result",
    "result_repr",
    "exception",
    "queue",
    "worker",
    "priority",
    "retries",
    "eta",
    "expires",
    "seen_at",
    "sent_at",
    "received_at",
    "started_at",
    "finished_at",
    "wait_seconds",
    "runtime_seconds",
    "progress",
    "root_id",
    "parent_id",
    "group_id",
    "chord_id",
    "retry_of",
    "redelivery_at",
)
"""Columns of a whole CSV: the fields of a summary, of which `docs/api.md` tells."""
_CALL = ("args", "args_repr", "kwargs", "kwargs_repr")
_OF_COLUMN: Mapping[Column, Sequence[str]] = {
    Column.STATE: ("state", "custom_state"),
    Column.TASK: ("id", "name"),
    Column.DETAILS: (*_CALL, "exception"),
    Column.ARGUMENTS: _CALL,
    Column.RESULT: ("result", "result_repr"),
    Column.EXCEPTION: ("exception",),
    Column.QUEUE: ("queue",),
    Column.WORKER: ("worker",),
    Column.ID: ("id",),
    Column.PRIORITY: ("priority",),
    Column.RETRIES: ("retries",),
    Column.SEEN: ("seen_at",),
    Column.STARTED: ("started_at",),
    Column.ENDED: ("finished_at",),
    Column.WAITED: ("wait_seconds",),
    Column.RAN: ("runtime_seconds",),
}
_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, also in its full width."""
BOM = b"\xef\xbb\xbf"

_Text = str | None
_Number = int | float | None
_JSON = "args", "kwargs", "result", "progress"
"""Fields that hold JSON of any kind: in CSV they stay JSON, so that "5" and 5 are told apart."""
_KINDS: dict[str, Any] = {
    **dict.fromkeys(FIELDS, _Text),
    **dict.fromkeys(("priority", "retries", "wait_seconds", "runtime_seconds"), _Number),
    **dict.fromkeys(_JSON, msgspec.Raw),
}
_read_cells = msgspec.json.Decoder(msgspec.defstruct("Cells", list(_KINDS.items()))).decode
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
Cell = str | int | float


class Format(StrEnum):
    """Kinds of files; the value ends the name of one."""

    CSV = "csv"
    JSONL = "jsonl"

    @property
    def media_type(self) -> str:
        """What a browser is told."""
        return "text/csv; charset=utf-8" if self is Format.CSV else "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which tasks, and how. `columns` None: all that lists know. `bom` is for old spreadsheets,
    which take UTF-8 for something else without it."""

    filter: TaskFilter
    sort: Sort = Sort.NEWEST
    cursor: str | None = None
    limit: int = EXPORT_LIMIT
    format: Format = Format.CSV
    columns: Columns | None = None
    bom: bool = False


def lines(tasks: Iterable[Task], wanted: Wanted) -> bytes:
    """The whole file of some tasks at hand."""
    file = File(wanted)
    return file.head() + file.rows(tasks)


class File:
    """What one file is made of."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._csv = wanted.format is Format.CSV
        self._fields = FIELDS if wanted.columns is None else fields_of(wanted.columns)
        self._places = [FIELDS.index(field) for field in self._fields]

    def head(self) -> bytes:
        """What the file begins with."""
        bom = BOM if self._wanted.bom else b""
        return bom + (_csv_lines([self._fields]) if self._csv else b"")

    def page(self, db: Database, limit: int, cursor: str | None) -> tuple[bytes, int, str | None]:
        """The lines of one page, how many they are, and the cursor of the next one. Blocks."""
        wanted = self._wanted
        found = stored.page(db, wanted.filter, sort=wanted.sort, limit=limit, cursor=cursor)
        return self.rows(found.tasks), len(found.tasks), found.next

    def rows(self, tasks: Iterable[Task]) -> bytes:
        """A line for each task."""
        return (
            _csv_lines(map(self._cells, tasks)) if self._csv else b"".join(map(self._json, tasks))
        )

    def cut(self, limit: int, cursor: str) -> bytes:
        """The last line of a file that is not all."""
        detail = f"Cut after {limit:,} tasks; there are more. Go on with cursor={cursor}"
        if self._csv:
            return _csv_lines([[f"# {detail}"]])
        told = {"cut": {"after": limit, "next": cursor, "detail": detail}}
        return msgspec.json.encode(told) + b"\n"

    def _json(self, task: Task) -> bytes:
        summary = encode_summary(task)
        if self._wanted.columns is None:
            return summary + b"\n"
        found = _read(summary)
        parts = [b'"%b":%b' % (name.encode(), found[name]) for name in self._fields]
        return b"{" + b",".join(parts) + b"}\n"

    def _cells(self, task: Task) -> list[Cell]:
        summary = encode_summary(task)
        try:
            found = _read_cells(summary)
        except msgspec.DecodeError:  # escapes of lone surrogates: JSON to some, not to all
            loose = json.dumps(json.loads(summary), ensure_ascii=False)
            found = _read_cells(loose.encode("utf-8", "replace"))
        values = msgspec.structs.astuple(found)
        return [_cell(values[place]) for place in self._places]


def fields_of(columns: Columns) -> tuple[str, ...]:
    """The fields that columns stand for, each once."""
    found = [field for column in columns.names for field in _OF_COLUMN[column]]
    return tuple(field for field in FIELDS if field in found)


def _cell(value: str | float | msgspec.Raw | None) -> Cell:
    """A field as a spreadsheet may read it: numbers as they are, no text as a formula."""
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, msgspec.Raw):
        text = bytes(value).decode()
        return "" if text == "null" else text
    return value


def harmless(text: str) -> str:
    """A text with an apostrophe before it where a spreadsheet would run it."""
    return "'" + text if text[:1] in _FORMULA else text


def _csv_lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    lines = StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode("utf-8", "replace")
