"""The texts that a search looks through, and how they are compared with its words."""

import re
from collections.abc import Iterable

SEARCHED_LENGTH = 1_000
"""Characters of each field that a search looks through; every one more is indexed work."""
ID_WORD_LENGTH = 4
"""Characters that a word needs to find UUIDs that begin with it; shorter ones fit too many."""

_HEX = "[0-9a-fA-F]"
_is_uuid = re.compile("-".join(f"{_HEX}{{{length}}}" for length in (8, 4, 4, 4, 12))).fullmatch
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def has_words(words: Iterable[str], task_id: str, call: str, outcome: str) -> bool:
    """Whether each word stands somewhere in the texts, or begins the id."""
    return all(word in call or word in outcome or begins_id(word, task_id) for word in words)


def begins_id(word: str, task_id: str) -> bool:
    """Whether a folded word is long enough to be the beginning of an id, and is of this one."""
    return len(word) >= ID_WORD_LENGTH and task_id.lower().startswith(word)


def call_text(
    task_id: str,
    name: str | None,
    args: str | None,
    args_repr: str | None,
    kwargs: str | None,
    kwargs_repr: str | None,
) -> str:
    """What a search looks through of a task's call, folded, a field a line.

    An id that is a UUID is left out: it is found by its beginning, and its random digits would
    be most of the text index.
    """
    shown_id = None if _is_uuid(task_id) else task_id
    return _searched(shown_id, name, args or args_repr, kwargs or kwargs_repr)


def outcome_text(result: str | None, result_repr: str | None, exception: str | None) -> str:
    """What a search looks through of a task's outcome, folded, a field a line."""
    return _searched(result or result_repr, exception)


def fold(text: str) -> str:
    """Text as it is compared: no difference of case, and JSON's `\\u6771` as what it stands for."""
    if "\\u" in text:
        text = _ESCAPES.sub(_unescape, text)
    return text.casefold()


def _unescape(found: re.Match[str]) -> str:
    units = bytes.fromhex(found[0].replace("\\u", ""))
    return units.decode("utf-16-be", "replace").replace("\0", "\ufffd")


def _searched(*fields: str | None) -> str:
    text = "\n".join([field for field in fields if field])
    if len(text) > SEARCHED_LENGTH:
        text = "\n".join([field[:SEARCHED_LENGTH] for field in fields if field])
    return fold(text)
