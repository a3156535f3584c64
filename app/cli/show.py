"""How tasks look in a terminal. What others wrote is shown as text, never obeyed as commands."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from app.domain.tasks import ENDED, TaskState

if TYPE_CHECKING:  # it brings httpx, which `umbel demo` has no use for
    from app.cli.client import Record

STYLES = {
    TaskState.SUCCESS: "green",
    TaskState.FAILURE: "red",
    TaskState.LOST: "red",
    TaskState.REJECTED: "red",
    TaskState.REVOKED: "magenta",
    TaskState.RETRY: "yellow",
    TaskState.STARTED: "cyan",
    TaskState.PROGRESS: "cyan",
}
LONGEST = 200
"""Characters of one value on one line; `--json` gives all of it."""


def printable(value: object, longest: int = LONGEST) -> str:
    """Text on one line in which nothing can move the cursor or change colours."""
    text = "" if value is None else str(value)
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def state_of(task: "Record") -> Text:
    """The state in its colour; an application's own name for it, where it has one."""
    state = str(task.get("state"))
    shown = printable(task.get("custom_state") or state)
    return Text(shown, style=STYLES.get(_known(state), "dim"))


def has_ended(task: "Record") -> bool:
    """Nothing more is expected of it."""
    return _known(str(task.get("state"))) in ENDED


def outcome_of(task: "Record") -> str:
    """Its result, its error, or how far it is: whatever says most now."""
    if task.get("exception"):
        return printable(task["exception"])
    if task.get("result") is not None:
        return printable(json.dumps(task["result"], ensure_ascii=False))
    if task.get("result_repr"):
        return printable(task["result_repr"])
    return progress_of(task)


def progress_of(task: "Record") -> str:
    """`3 of 10 message`, as far as the task says so."""
    progress = task.get("progress") or {}
    current, total = progress.get("current"), progress.get("total")
    parts = (
        [] if current is None else [f"{current:g}" + ("" if total is None else f" of {total:g}")]
    )
    return " ".join([*parts, printable(progress.get("message"))]).strip()


def line_of(task: "Record") -> Text:
    """One task on one line: when, state, name, id, worker, outcome."""
    at = task.get("finished_at") or task.get("started_at") or task.get("received_at")
    parts = (
        Text(clock(at or task.get("sent_at")), style="dim"),
        Text.assemble(state_of(task), " " * max(0, 8 - len(state_of(task)))),
        Text(printable(task.get("name") or "(name not known)")),
        Text(printable(task.get("id")), style="dim"),
        Text(printable(task.get("worker") or "-"), style="dim"),
        Text(outcome_of(task)),
    )
    return Text(" ").join(part for part in parts if part.plain)


def table_of(tasks: "Iterable[Record]", width: int) -> Table:
    """Many tasks, one a row; in a narrow terminal with fewer columns, but ids are never cut."""
    columns: list[tuple[str, Callable[[Record], str | Text], int]] = [
        ("SENT", lambda task: clock(task.get("sent_at") or task.get("received_at")), 0),
        ("STATE", state_of, 0),
        ("ID", lambda task: Text(printable(task.get("id")), style="dim"), 0),
        ("NAME", lambda task: Text(printable(task.get("name") or "-")), 0),
        ("WORKER", lambda task: Text(printable(task.get("worker") or "-")), 110),
        ("RUN", lambda task: duration(task.get("runtime_seconds")), 110),
        ("OUTCOME", lambda task: Text(outcome_of(task)), 130),
    ]
    shown = [(title, cell) for title, cell, needed in columns if width >= needed]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in shown:
        fixed = {"SENT": 19, "STATE": 8, "ID": 36}.get(title)
        table.add_column(title, no_wrap=True, min_width=fixed, overflow="ellipsis")
    for task in tasks:
        table.add_row(*(cell(task) for _, cell in shown))
    return table


def clock(moment: object) -> str:
    """A moment of the API in this machine's time zone, to the second."""
    try:
        return datetime.fromisoformat(str(moment)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "-"


def duration(seconds: object) -> str:
    """`350 ms`, `2.5 s`, `3 min 20 s`."""
    if not isinstance(seconds, int | float):
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _known(state: str) -> TaskState:
    try:
        return TaskState(state)
    except ValueError:
        return TaskState.PENDING
