"""What a person is in the middle of typing into the search box."""

import re
from dataclasses import dataclass

from app.domain.search_keys import KEYS

_HEAD = re.compile(r"-?([A-Za-z_]+(?:\.[^\s:\",]+)?)")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The end of a text: a value of `key`, or a word that may yet become a key where it is "".

    `at` is where it begins; `text` is it, without the quotes that it may begin with.
    """

    at: int
    key: str
    text: str
    quoted: bool = False


def unfinished(text: str) -> Unfinished:
    """What stands at the end of a text and is not finished yet."""
    start = begins = 0
    key, quoted, escaped = "", False, False
    for at, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char.isspace():
            start = begins = at + 1
            key = ""
        elif char == '"':
            quoted = at == begins
        elif (char == "," and key) or (char == "-" and at == start):
            begins = at + 1
        elif char == ":" and not key and (found := _key(text[start:at])):
            key, begins = found, at + 1
    typed = text[begins:]
    return Unfinished(begins, key, typed.removeprefix('"') if quoted else typed, quoted)


def _key(head: str) -> str:
    found = _HEAD.fullmatch(head)
    if found is None:
        return ""
    name, dot, path = found[1].partition(".")
    return name.lower() + dot + path if name.lower() in KEYS else ""
