"""The shell: `umbel` and its commands, one module each."""

from app.cli.garbage import look_not_yet

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits as `app.cli.exits` says."""
    look_not_yet()
    from app.cli.shell import run  # after it, for this is where the imports begin

    run()
