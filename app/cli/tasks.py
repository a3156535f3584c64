"""`umbel tasks`: the list of tasks, filtered."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from app.cli import options
from app.cli.client import Client, Pairs, Record
from app.cli.show import table_of

PAGE = 100
"""Tasks asked for at a time."""
PIPE_WIDTH = 1_000
"""Characters of a line where no terminal limits it: nothing is cut."""


def tasks(
    state: options.States = None,
    name: options.Names = None,
    queue: options.Queues = None,
    worker: options.Workers = None,
    q: options.Search = None,
    since: Annotated[
        str | None, typer.Option(help="Only tasks from then on: 2026-11-22T18:00:00Z, 15m, 2h, 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only tasks before then.")] = None,
    ended: Annotated[
        str | None, typer.Option(help="Only tasks that ended from then on; A..B: and before B.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="-created, created, -runtime, runtime.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many tasks.")] = 50,
    json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """List tasks, newest first."""
    asked = options.pairs(
        state=state,
        name=name,
        queue=queue,
        worker=worker,
        q=q,
        since=since,
        until=until,
        ended=ended,
        sort=sort,
    )
    with Client(options.server(url)) as client:
        found = _tasks(client, asked, limit)
        if json:
            for task in found:
                options.print_json(task)
        else:
            console = Console(highlight=False)
            if not console.is_terminal:
                console.width = PIPE_WIDTH
            console.print(table_of(found, console.width))


def _tasks(client: Client, asked: Pairs, limit: int) -> Iterator[Record]:
    cursor: str | None = None
    while limit > 0:
        more = options.pairs(limit=str(min(limit, PAGE)), cursor=cursor)
        page = client.get("/tasks", [*asked, *more])
        yield from page["tasks"]
        limit -= len(page["tasks"])
        cursor = page.get("next")
        if not cursor:
            return
