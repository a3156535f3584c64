"""Arguments that a search asks for: `args.user_id:123` by name, `args.0:123` by place.

What a task was called with is known as JSON, or only as what Python shows of it, perhaps cut off;
both are read here, so a task is found however it was heard of.
"""

import json
import re
from ast import literal_eval
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.domain.texts import fold

_RUN = re.compile(r"[\w@.:+-]+")
"""What stands in a text as it is, in JSON and as Python shows it."""
_PART = re.compile(r"\w+")
"""A part of a value: looked up alone, for an address has much that all addresses have."""
_NOTHING = ("null", "none")
_UNREADABLE = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """Calls with any of these values at a path, or with none of them where it is negated.

    The path begins with a name, or with a place counted from 0, and goes on into objects and
    lists. A value that ends with `*` matches by what it begins with; of a list, any item does.
    """

    path: tuple[str, ...]
    values: tuple[str, ...]
    negated: bool = False
    places: tuple[tuple[str, int], ...] = ()
    """Tasks that take the argument of that name by place too, with the place."""

    @property
    def words(self) -> tuple[str, ...]:
        """What stands in the folded text of every call that has it: parts of the value, the longest
        first, then names."""
        found: list[str] = []
        if len(self.values) == 1:
            value = fold(self.values[0]).removesuffix("*")
            if not any(none.startswith(value) for none in _NOTHING):
                found += sorted(_PART.findall(value), key=len, reverse=True)
        named = self.path[1:] if self.places else self.path
        found += [_run(name) for name in named if not name.isdecimal()]
        return tuple(word for word in found if word)

    def takes(self, task: str | None, call: str, fields: Iterable[str | None]) -> bool:
        """Whether a call of a task of that name has it, or has not where it is negated.

        `call` is its text as searches look through it, `fields` its args, args_repr, kwargs and
        kwargs_repr.
        """
        has = all(word in call for word in self.words) and self._has(task, *fields)
        return has is not self.negated

    def _has(
        self,
        task: str | None,
        args: str | None,
        args_repr: str | None,
        kwargs: str | None,
        kwargs_repr: str | None,
    ) -> bool:
        places = [(str(place), *self.path[1:]) for name, place in self.places if name == task]
        if self.path[0].isdecimal():
            places.append(self.path)
        by_place = places and self._is_in(args, args_repr, places)
        return bool(by_place) or self._is_in(kwargs, kwargs_repr, [self.path])

    def _is_in(self, text: str | None, shown: str | None, paths: Iterable[tuple[str, ...]]) -> bool:
        value = _read(text, shown)
        if value is _UNREADABLE:
            return self._is_shown(fold(text or shown or ""))
        return any(self._fits(leaf) for path in paths for leaf in _at(value, path))

    def _fits(self, leaf: Any) -> bool:
        if isinstance(leaf, dict):
            return "*" in self.values
        said = _NOTHING if leaf is None else (fold(str(leaf)),)
        return any(_equal(value, one) for value in self.values for one in said)

    def _is_shown(self, text: str) -> bool:
        """The same of a text that was cut off: its last name, and a value after it."""
        name = re.escape(fold(self.path[-1]))
        for value in map(fold, self.values):
            given = re.escape(value.removesuffix("*"))
            end = "" if value.endswith("*") else r"[\"']?\s*(?:[,}\])]|$)"
            if re.search(rf"[\"']{name}[\"']\s*:\s*[\"']?{given}{end}", text):
                return True
        return False


def _read(text: str | None, shown: str | None) -> Any:
    """The value of a JSON text, or of what Python shows. Numbers of JSON stay as written."""
    try:
        if text:
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        return literal_eval(shown) if shown else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _UNREADABLE


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at a path; of a list at its end, each item."""
    if isinstance(value, list | tuple | set | frozenset):
        if not path:
            for item in value:
                yield from _at(item, ()) if not isinstance(item, list | tuple) else ()
        elif path[0].isdecimal() and not isinstance(value, set | frozenset):
            place = int(path[0])
            if place < len(value):
                yield from _at(value[place], path[1:])
    elif not path:
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if fold(str(key)) == fold(path[0]):
                yield from _at(inner, path[1:])


def _equal(wanted: str, leaf: str) -> bool:
    value = fold(wanted)
    if value.endswith("*"):
        return leaf.startswith(value[:-1])
    return leaf == value


def _run(text: str) -> str:
    return max(_RUN.findall(fold(text)), key=len, default="")
