"""The command `umbel`: its sub-commands, and what an error means to a shell."""

from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console

from app.cli import exits
from app.cli.demo import demo
from app.cli.move_history import move_history
from app.cli.record import record
from app.cli.serve import serve
from app.cli.submit import submit
from app.cli.tail import tail
from app.cli.tasks import tasks
from app.cli.up import up
from app.cli.watch import watch
from app.domain.errors import BadInput, UmbelError, Unavailable

shell = typer.Typer(
    name="umbel",
    help="The live control plane for Celery: every task as it happens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"umbel {version('umbel')}")
        raise typer.Exit


@shell.callback()
def options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """The live control plane for Celery: every task as it happens."""


def main() -> None:
    """Runs the command line and exits as `app.cli.exits` says."""
    shell(prog_name="umbel")


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
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"umbel: {error}", markup=False)
    fields = error.errors if isinstance(error, BadInput) else ()
    for each in (field for field in fields if field.msg not in str(error)):
        console.print(f"  {'.'.join(map(str, each.loc))}: {each.msg}", markup=False)


for _command in (up, serve, record, demo, submit, watch, tail, tasks, move_history):
    shell.command()(_guarded(_command))
