"""`umbel tail`: what happens, as it happens."""

import json as json_module
from typing import Annotated

import typer
from httpx_sse import ServerSentEvent
from rich.console import Console

from app.cli import options
from app.cli.client import Client, Place
from app.cli.show import line_of, printable


def tail(
    state: options.States = None,
    name: options.Names = None,
    queue: options.Queues = None,
    worker: options.Workers = None,
    q: options.Search = None,
    types: Annotated[
        str, typer.Option(help="Kinds of events: task, worker, queue, stats; with commas between.")
    ] = "task",
    last_event_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Begin after this event of the feed.")
    ] = None,
    json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Print each change until Ctrl-C; connects again, and misses nothing, when cut off."""
    asked = options.pairs(state=state, name=name, queue=queue, worker=worker, q=q, types=types)
    place = Place(last_id=last_event_id or "")
    with Client(options.server(url)) as client:
        for event in client.events("/events", asked, place=place, endless=True):
            _print(event, json)


def _print(event: ServerSentEvent, as_json: bool) -> None:
    if event.event == "heartbeat":
        return
    if event.event == "reset":
        options.notes().print("umbel: some changes were missed: the server no longer has them.")
    elif as_json:
        print(event.data, flush=True)
    elif event.event == "task":
        Console(highlight=False, soft_wrap=True).print(line_of(json_module.loads(event.data)))
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"{event.event} {printable(event.data)}", markup=False
        )
