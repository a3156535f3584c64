"""`umbel mark`: says that something happened, mostly from a script that deploys."""

from typing import Annotated

import typer

from app.cli import options
from app.cli.client import Client


def mark(
    title: Annotated[str, typer.Argument(help='What happened, such as "Deployed the shop".')],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="Of what is new.")] = None,
    link: Annotated[
        str | None, typer.Option(metavar="URL", help="Where to read more: http:// or https://.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When; default: now.")] = None,
    json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Mark a moment on every chart; print the marker's id."""
    body = {"title": title, "version": version, "url": link, "at": at}
    given = {key: value for key, value in body.items() if value is not None}
    with Client(options.server(url)) as client:
        made = client.post("/markers", given)
        if json:
            options.print_json(made)
        else:
            print(made["id"])
