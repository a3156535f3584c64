"""The shell: `umbel` and its commands, one module each."""

from app.cli.main import main

__all__ = ["main"]
