"""Every setting as a flag of the same name, for the commands that run a part of Umbel."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from app.settings import PREFIX, SETTINGS, read_settings


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command one flag a setting, and hands it their outcome as `settings`.

    A flag wins over the environment, which wins over `.env`.
    """
    names = tuple(SETTINGS)

    @wraps(command)
    def run(**given: Any) -> None:
        flags = {name: given.pop(name) for name in names}
        command(settings=read_settings(**flags), **given)

    own = inspect.signature(command).parameters.values()
    kept = [parameter for parameter in own if parameter.name != "settings"]
    parameters = [*kept, *map(_flag, names)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _flag(name: str) -> inspect.Parameter:
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{SETTINGS[name].description} [{PREFIX}{name.upper()}]",
        metavar="VALUE",
        show_default=False,
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )
