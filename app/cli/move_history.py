"""`umbel move-history`: a history taken from one database to another."""

import time
from typing import Annotated

import typer
from rich.console import Console

from app.domain.errors import BadInput, CannotStart

SAY_SECONDS = 1.0
"""Between two lines that say how far it is."""


def move_history(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="Where the history is: a path, sqlite:///… or postgresql://…"
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="An empty database that it is to be copied to.")
    ],
) -> None:
    """Copy a history (tasks, figures, audit and all) to another database, with Umbel stopped.

    Started again with the same databases, it goes on where it stopped.
    """
    # SQLAlchemy, for which the other commands do not wait.
    from app.store.address import address_of
    from app.store.moving import Move, Progress, open_both

    for url in (source, target):
        try:
            address_of(url)
        except CannotStart as error:
            raise BadInput(str(error)) from None
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    said = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            console.print(f"{progress.table}: {progress.tasks:,} tasks so far", markup=False)

    old, new = open_both(source, target)
    try:
        moved = Move(old, new, report).run()
    finally:
        old.close()
        new.close()
    console.print(f"{moved.tasks:,} tasks and all that belongs to them are in: {new.place}")
