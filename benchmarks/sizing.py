"""The tables of docs/scaling.md: what was measured by `scaling`, and what follows for a load."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.plots import short

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "scaling.md"
BEGIN, END = "<!-- from the measurements -->", "<!-- end of what is measured -->"
TASKS = 100_000_000
"""A day."""
PEAK = 4
"""Times the average, at the busiest moment."""
FULL = 0.7
"""Of a core that is planned for: the rest is for what comes at once, and for catching up."""
EVENTS = 4
"""Of a task: sent, received, started, ended."""
SECONDS_A_DAY = 86_400
DAYS = 3
"""Kept, in the example."""


def write(document: dict[str, Any]) -> None:
    """Puts the tables between the marks of docs/scaling.md."""
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text("\n".join([before + BEGIN, "", *lines(document), "", END + after]))


def lines(document: dict[str, Any]) -> list[str]:
    """Both tables, and where they were measured."""
    costs = {figure["what"]: figure["median"] for figure in document["figures"]}
    return [*measured(costs), "", *example(costs), "", _where(document)]


def measured(costs: dict[str, float]) -> Iterator[str]:
    """What a part takes, as the formulas call it."""
    yield "| | what | measured |"
    yield "|---|---|---:|"
    for letter, (what, value, unit) in symbols(costs).items():
        yield f"| *{letter}* | {what} | {short(value)} {unit} |"


def symbols(costs: dict[str, float]) -> dict[str, tuple[str, float, str]]:
    """Each with what it is, its value, and its unit."""
    of = "4,000 events/s of 1 worker"
    fleet = "published, SQLite, 4,000 events/s of 1,000 workers"
    heard = costs[f"published, SQLite, {of}"]
    # 1,000 workers say 500 times a second that they live, beside 4,000 events.
    beat = max(0.0, costs[fleet] - heard) * 4_000 / 500
    return {
        "c": ("the recorder, for an event heard; SQLite", heard, "µs"),
        "c stream": ("the same from the stream", costs[f"stream, SQLite, {of}"], "µs"),
        "c PostgreSQL": ("the same, kept there", costs[f"published, PostgreSQL, {of}"], "µs"),
        "p": (
            "PostgreSQL itself, for an event",
            costs[f"server: published, PostgreSQL, {of}"],
            "µs",
        ),
        "r": ("Redis, for an event", costs[f"Redis: published, SQLite, {of}"], "µs"),
        "h": ("the recorder, for a heartbeat", beat, "µs"),
        "d": ("the disk, for a task; SQLite", costs["SQLite"], "bytes"),
        "d PostgreSQL": ("the disk, for a task; PostgreSQL", costs["PostgreSQL"], "bytes"),
        "v": ("a web process, for 1,000 viewers of all changes", costs["1 replica"], "% of a core"),
    }


def example(costs: dict[str, float]) -> Iterator[str]:
    """100 million tasks a day, by the formulas."""
    value = {letter: each[1] for letter, each in symbols(costs).items()}
    average = TASKS / SECONDS_A_DAY
    events = average * PEAK * EVENTS
    yield "| for 100 million tasks a day | |"
    yield "|---|---:|"
    yield f"| tasks/s on average; at the peak | {average:,.0f}; {average * PEAK:,.0f} |"
    yield f"| events/s at the peak, *E* | {events:,.0f} |"
    for name in ("c", "c stream", "c PostgreSQL"):
        cores = events * value[name] / 1e6
        yield f"| cores of recorders by *{name}*; Umbels for that | {cores:.2f}; {_umbels(cores)} |"
    yield f"| cores of PostgreSQL | {events * value['p'] / 1e6:.2f} |"
    yield f"| cores of Redis for events, beside the queues | {events * value['r'] / 1e6:.2f} |"
    for name in ("d", "d PostgreSQL"):
        kept = TASKS * DAYS * value[name] / 1e9
        yield f"| disk for {DAYS} days, by *{name}* | {kept:,.0f} GB |"


def _umbels(cores: float) -> int:
    return math.ceil(cores / FULL)


def _where(document: dict[str, Any]) -> str:
    machine = document["machine"]
    return f"Measured {document['measured_at']} on {machine['cpu']}, {machine['cores']} cores."
