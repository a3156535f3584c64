"""`umbel submit`: any registered task, from a shell or a script."""

import json as json_module
from typing import Annotated, Any

import typer

from app.cli import options
from app.cli.client import Client
from app.cli.watch import follow
from app.domain.errors import BadInput, FieldError


def submit(
    name: Annotated[str, typer.Argument(help="The task's name, such as worker.tasks.add.")],
    args: Annotated[str, typer.Option(metavar="JSON", help="Positional arguments: a list.")] = "[]",
    kwargs: Annotated[str, typer.Option(metavar="JSON", help="Named ones: an object.")] = "{}",
    queue: Annotated[str | None, typer.Option(help="The queue; default: the task's.")] = None,
    countdown: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Not before so long from now.")
    ] = None,
    eta: Annotated[str | None, typer.Option(metavar="TIME", help="Not before then.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not after then, or so many seconds.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9; 0 is served first.")] = None,
    max_retries: Annotated[int | None, typer.Option(min=0)] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key never sends twice.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it has ended.")] = False,
    timeout: options.Timeout = None,
    json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Send a task; print its id, or follow it with --wait."""
    body = {
        "name": name,
        "args": _json("args", args),
        "kwargs": _json("kwargs", kwargs),
        "queue": queue,
        "countdown": countdown,
        "eta": eta,
        "expires": _number_or_text(expires),
        "priority": priority,
        "max_retries": max_retries,
    }
    given = {key: value for key, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with Client(options.server(url)) as client:
        sent = client.post("/tasks", given, **headers)
        if wait:
            follow(client, sent["task_id"], timeout, json)
        elif json:
            options.print_json(sent)
        else:
            print(sent["task_id"])


def _json(name: str, text: str) -> Any:
    try:
        return json_module.loads(text)
    except ValueError as error:
        field = FieldError((f"--{name}",), f"{text!r} is not JSON: {error}")
        raise BadInput("The arguments are not understood.", (field,)) from None


def _number_or_text(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
