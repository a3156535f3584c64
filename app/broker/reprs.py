"""Celery's shortened repr of a task's arguments, as its own `saferepr` writes it.

It goes into each message's header and event, where every monitor shows it. Written anew for
values out of JSON because the original is the dearest step of sending a small message; a test
holds the two to the same text.
"""

from collections.abc import Iterable
from contextlib import suppress

MAX_LENGTH = 1024
"""Characters: what Celery allows (`argsrepr_maxsize`)."""
MAX_LEVELS = 3
"""Containers within containers: Celery's `task_repr_maxlevels`."""


def shorten(value: object) -> str:
    """The repr of a value out of JSON, cut after about 1,024 characters and three levels."""
    text = _Shortened()
    with suppress(_Full):
        text.add(value, 0)
    return "".join(text.parts)


class _Full(Exception):
    """No more fits; the ends of what is open still do."""


class _Shortened:
    __slots__ = ("left", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = MAX_LENGTH

    def add(self, value: object, level: int) -> None:
        if isinstance(value, str):
            self._put(_quote(value, self.left))
        elif isinstance(value, list | tuple):
            self._add_items(value, level)
        elif isinstance(value, dict):
            self._add_pairs(value, level)
        else:
            self._put(_cut(str(value), self.left))

    def _add_items(self, value: list[object] | tuple[object, ...], level: int) -> None:
        start, end = ("[", "]") if isinstance(value, list) else ("(", ")")
        if len(value) == 1 and start == "(":
            end = ",)"
        if level >= MAX_LEVELS:
            self._put(f"{start}...{end}")
            return
        self._put(start)
        try:
            self._join(value, level)
        finally:
            self._end(end)

    def _join(self, value: Iterable[object], level: int) -> None:
        first = True
        for item in value:
            if not first:
                self._put(", ")
            first = False
            self.add(item, level + 1)

    def _add_pairs(self, value: dict[str, object], level: int) -> None:
        if level >= MAX_LEVELS:
            self._put("{...}")
            return
        self._put("{")
        first = True
        try:
            for key, item in value.items():
                if not first:
                    self._put(", ")
                first = False
                self._put(_quote(key, self.left))
                self._put(": ")
                self.add(item, level + 1)
        finally:
            self._end("}")

    def _put(self, text: str) -> None:
        if self.left <= 0:
            self.parts.append(", ...")
            raise _Full
        self.parts.append(text)
        self.left -= len(text)

    def _end(self, text: str) -> None:
        self.parts.append(text)
        self.left -= len(text)


def _quote(text: str, limit: int) -> str:
    return "'" + _cut(text, limit).replace("'", "\\'") + "'"


def _cut(text: str, limit: int) -> str:
    if 0 < limit <= len(text):
        return text[:limit].rsplit(" ", 1)[0] + "..."
    return text
