"""JSON as people read it: indented and coloured, each number and string exactly as it stands.

It is never parsed into values: an integer of thirty digits stays one.
"""

import re

from markupsafe import Markup, escape

from app.domain.events import Json

PRETTY_LIMIT = 64 * 1024
"""Characters of a value that are indented and coloured; above, it is shown as it came."""
SHOWN_LIMIT = 256 * 1024
"""Characters of one value in a page; the rest is a click away, as JSON."""
LINE = 72
"""Characters up to which a list or an object stays on one line."""

_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_OPENING, _CLOSING = frozenset("{["), frozenset("}]")
_COMMA, _COLON = ",", ":"


def pretty(value: Json) -> Markup:
    """A JSON text with line breaks and colours."""
    if len(value) > PRETTY_LIMIT:
        return escape(value[:SHOWN_LIMIT])
    return escape("").join(_pieces(_PARTS.findall(value)))


def _pieces(parts: list[str]) -> list[Markup]:
    found: list[Markup] = []
    short: list[bool] = []  # for each list and object that is open: does it stand on one line?
    for index, part in enumerate(parts):
        within_line = bool(short and short[-1])
        if part in _OPENING:
            short.append(within_line or _is_short(parts, index))
            found.append(escape(part if short[-1] else part + _break(short)))
        elif part in _CLOSING:
            was_short = short.pop() if short else True
            found.append(escape(part if was_short else _break(short) + part))
        elif part == _COMMA:
            found.append(escape(", " if within_line or not short else "," + _break(short)))
        elif part == _COLON:
            found.append(escape(": "))
        else:
            found.append(_coloured(part, parts[index + 1 : index + 2] == [_COLON]))
    return found


def _break(short: list[bool]) -> str:
    return "\n" + "  " * len(short)


def _is_short(parts: list[str], start: int) -> bool:
    """Whether what opens at `start` closes within one line."""
    depth = width = 0
    for part in parts[start : start + LINE]:
        width += len(part) + (part in (_COMMA, _COLON))
        depth += (part in _OPENING) - (part in _CLOSING)
        if width > LINE:
            return False
        if depth == 0:
            return True
    return False


def _coloured(part: str, is_key: bool) -> Markup:
    if part.startswith('"'):
        kind = "key" if is_key else "string"
    else:
        kind = "word" if part in ("true", "false", "null") else "number"
    return Markup('<span class="json-{}">{}</span>').format(kind, part)
