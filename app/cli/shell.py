"""The command `umbel`: its sub-commands, and what an error means to a shell."""

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Annotated, Any

import typer

from app.cli import exits
from app.cli.garbage import look_less_often
from app.domain.errors import BadInput, UmbelError, Unavailable

COMMANDS = (
    "up",
    "serve",
    "record",
    "demo",
    "submit",
    "watch",
    "tail",
    "tasks",
    "mark",
    "move-history",
)
"""Each is the function of its name in the module of its name."""


def make_shell(*names: str) -> typer.Typer:
    """The commands of these names. Each module is imported here, and some are heavy."""
    shell = typer.Typer(
        name="umbel",
        help="The live control plane for Celery: every task as it happens.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    shell.callback()(options)
    for name in names:
        function = name.replace("-", "_")
        shell.command(name)(_guarded(getattr(import_module(f"app.cli.{function}"), function)))
    return shell


def run() -> None:
    """Runs the command line and exits as `app.cli.exits` says."""
    asked = sys.argv[1:2]
    # Nobody who wants one command should wait for what the others need.
    shell = make_shell(*(asked if set(asked) & set(COMMANDS) else COMMANDS))
    look_less_often()
    shell(prog_name="umbel")


def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Say the version.",
            callback=lambda asked: _say_version() if asked else None,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """The live control plane for Celery: every task as it happens."""


def _say_version() -> None:
    from importlib.metadata import version  # which takes as long as all the rest here

    typer.echo(f"umbel {version('umbel')}")
    raise typer.Exit


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with each error of ours as one sentence and an exit status."""

    @wraps(command)
    def run(**given: Any) -> None:
        try:
            command(**given)
        except KeyboardInterrupt:
            raise typer.Exit(exits.INTERRUPTED) from None
        except UmbelError as error:
            _say(error)
            raise typer.Exit(_status(error)) from None

    return run


def _status(error: UmbelError) -> int:
    if isinstance(error, BadInput):
        return exits.USAGE
    return exits.UNREACHABLE if isinstance(error, Unavailable) else exits.FAILED


def _say(error: UmbelError) -> None:
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"umbel: {error}", markup=False)
    fields = error.errors if isinstance(error, BadInput) else ()
    for each in (field for field in fields if field.msg not in str(error)):
        console.print(f"  {'.'.join(map(str, each.loc))}: {each.msg}", markup=False)
