"""What `umbel up` prints: every process's lines with its name before them, as text or JSON."""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

_WIDTH = 8
"""Characters of a name; longer ones push their own line to the right."""
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
OURS = "umbel"
"""The name before what `umbel up` itself has to say."""


class Output:
    """Prints lines of several processes. A terminal that went away is no reason to fail."""

    def __init__(self, form: Literal["text", "json"]) -> None:
        self._json = form == "json"
        self._colours = not self._json and sys.stdout.isatty()

    def __call__(self, process: str, line: str) -> None:
        with suppress(OSError, ValueError):
            print(self._as_json(process, line) if self._json else self._as_text(process, line))
            sys.stdout.flush()

    def _as_text(self, process: str, line: str) -> str:
        name = f"{process:<{_WIDTH}}"
        if not self._colours:
            return f"{name} | {line}"
        if process == OURS:
            return f"{_DIM}{name} |{_PLAIN} {_BOLD}{line}{_PLAIN}"
        return f"{_DIM}{name} |{_PLAIN} {line}"

    def _as_json(self, process: str, line: str) -> str:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            found = {"event": line, "at": datetime.now(UTC).isoformat()}
        return json.dumps({"process": process, **found}, ensure_ascii=False)
