"""The options that several commands of the REST and SSE client share."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from app.cli.client import Pairs, Record
from app.cli.data_folder import running_on
from app.settings import read_settings

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Where Umbel is. [UMBEL_URL; else the `umbel up` at work here, else UMBEL_HOST "
        "and UMBEL_PORT]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Give up after; exit status 124."),
]
States = Annotated[
    list[str] | None, typer.Option("--state", help="Only tasks in this state; repeatable.")
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Only tasks of this name; `mail.*` for a prefix; repeatable."),
]
Queues = Annotated[
    list[str] | None, typer.Option("--queue", help="Only tasks of this queue; repeatable.")
]
Workers = Annotated[
    list[str] | None, typer.Option("--worker", help="Only tasks of this worker; repeatable.")
]
Search = Annotated[
    str | None, typer.Option("--q", metavar="SEARCH", help="Only tasks that this search finds.")
]


def server(url: str | None) -> str:
    """The server that a command means."""
    if found := url or os.environ.get("UMBEL_URL"):
        return found if "://" in found else f"http://{found}"
    settings = read_settings()
    up = running_on(settings.data_dir)
    return up.url if up else settings.address


def pairs(**given: str | Sequence[str] | None) -> Pairs:
    """Query parameters of what was given; lists repeat their name."""
    found: list[tuple[str, str]] = []
    for name, value in given.items():
        values = [value] if isinstance(value, str) else value or []
        found += [(name, each) for each in values]
    return found


def print_json(record: Record) -> None:
    """One object on one line, at once, for whoever reads the pipe."""
    print(json.dumps(record, ensure_ascii=False), flush=True)


def notes() -> Console:
    """Where remarks go, so that output stays what a script asked for."""
    return Console(stderr=True, highlight=False, soft_wrap=True, file=sys.stderr)
