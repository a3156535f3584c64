"""`umbel watch`: one task until it has ended. `umbel submit --wait` ends the same way."""

import json as json_module
import time
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from app.cli import exits, options
from app.cli.client import Client, Place, Record, TookTooLong
from app.cli.show import has_ended, line_of
from app.domain.tasks import TaskState


def watch(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    timeout: options.Timeout = None,
    json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Follow a task until it has ended. Exit status 0 if it succeeded, 1 otherwise."""
    with Client(options.server(url)) as client:
        follow(client, task_id, timeout, json)


def follow(client: Client, task_id: str, timeout: float | None, as_json: bool) -> None:
    """Prints each change of a task; exits by how it ended."""
    console = Console(highlight=False, soft_wrap=True)
    last: Record = {}
    try:
        for last in changes(client, task_id, timeout):
            if as_json:
                options.print_json(last)
            else:
                console.print(line_of(last))
    except TookTooLong as error:
        options.notes().print(f"umbel: {error}")
        raise typer.Exit(exits.TIMEOUT) from None
    raise typer.Exit(exits.OK if last.get("state") == TaskState.SUCCESS else exits.FAILED)


def changes(client: Client, task_id: str, timeout: float | None) -> Iterator[Record]:
    """The task as it is, then at each change; the last one has ended, and is all of the task."""
    deadline = None if timeout is None else time.monotonic() + timeout
    path = f"/tasks/{quote(task_id, safe='')}"
    shown: tuple[object, ...] = ()
    for event in client.events(f"{path}/events", place=Place(), deadline=deadline):
        if event.event not in ("task", "reset"):
            continue
        task = client.get(path) if event.event == "reset" else json_module.loads(event.data)
        if has_ended(task):
            break
        now = (task.get("state"), task.get("retries"), str(task.get("progress")))
        if now != shown:
            shown = now
            yield task
    yield client.get(path)
