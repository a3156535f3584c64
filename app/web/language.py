"""Texts that people read, in their language: everything on a page goes through one of these.

Which language that is belongs to the request, or to the live view, that is being rendered: it is a
context variable, so nothing has to be handed through. English is what stands in the code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations, translation
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
DOMAIN = "umbel"
ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "ja": "日本語"}
"""Tags of the languages that there are, each with its name in itself."""
CONTEXT = "\x04"
"""Between a context and a message, as catalogs of GNU gettext have it."""

_TAG = re.compile(r"\s*([A-Za-z]{1,8})[A-Za-z0-9-]*\s*(?:;\s*q=([0-9.]{1,5})\s*)?")
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def language() -> str:
    """The tag of the language in which texts are made here and now."""
    return _language.get()


def speak(tag: str) -> None:
    """Has this task, and what it begins from now on, make texts in that language."""
    _language.set(tag)


@contextmanager
def spoken(tag: str) -> Iterator[None]:
    """Has texts made in that language meanwhile."""
    token = _language.set(tag)
    try:
        yield
    finally:
        _language.reset(token)


def chosen(cookie: str | None, accepted: str | None) -> str:
    """The language that somebody chose, or that their browser prefers of those that there are."""
    if cookie in LANGUAGES:
        return cookie
    wanted: list[tuple[float, str]] = []
    for part in (accepted or "").split(","):
        if (found := _TAG.fullmatch(part)) and found[1].lower() in LANGUAGES:
            wanted.append((_weight(found[2]), found[1].lower()))
    best = max(wanted, default=(0.0, ENGLISH), key=lambda each: each[0])
    return best[1] if best[0] > 0 else ENGLISH


def text(message: str) -> str:
    """A text in the reader's language, its `%(name)s` not yet filled in."""
    found = catalog(_language.get()).gettext(message)
    return found.rpartition(CONTEXT)[2]


def plural(one: str, many: str, num: int) -> str:
    """The same of a number of things."""
    return catalog(_language.get()).ngettext(one, many, num)


def gettext(message: str, **values: object) -> str:
    """A text in the reader's language; `%(name)s` stands for a value, `%%` for a percent sign."""
    return text(message) % values


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """The same of a number of things, which is `%(num)s`."""
    return plural(one, many, num) % {"num": num, **values}


def marked(message: str) -> str:
    """A message that stands in a table: found by `make messages`, and given to `text` later."""
    return message


def marked_in(context: str, message: str) -> str:
    """The same of a word that means several things: in which context it stands here."""
    return context + CONTEXT + message


@cache
def catalog(tag: str) -> NullTranslations:
    """The messages of a language; of English there is none."""
    if tag == ENGLISH:
        return NullTranslations()
    found: GNUTranslations = translation(DOMAIN, LOCALE, [tag])
    return found


def _weight(quality: str | None) -> float:
    try:
        return 1.0 if quality is None else float(quality)
    except ValueError:
        return 0.0
