"""Sentences that come from below the pages: from errors, from the recorder, from the store.

Who says them knows nothing of languages, and programs and logs read them in English. Pages know
them again by their patterns and say them in the reader's language; one that is not known here, such
as the text of an exception, stays as it is.
"""

import re
from functools import cache, lru_cache

from app.web.known_sentences import SENTENCES
from app.web.language import ENGLISH, language, text
from app.web.language import gettext as _

KEPT = 2_000
"""Translations remembered: the reasons and errors of some pages."""
_PLACE = re.compile(r"%\((\w+)\)s")


def sentence(said: str | Exception) -> str:
    """A sentence, or that of an error, in the reader's language."""
    tag, english = language(), str(said)
    return english if tag == ENGLISH else _translated(tag, english)


@lru_cache(KEPT)
def _translated(tag: str, english: str) -> str:
    # `tag` is that of the context already; it is what makes the memory one for each language.
    if english in _plain():
        return text(english)
    for pattern, message in _patterns():
        if found := pattern.fullmatch(english):
            values = {name: _translated(tag, value) for name, value in found.groupdict().items()}
            return text(message) % values
    first, joined, second = english.partition("; ")
    if not joined:
        return english
    said = _translated(tag, first), _translated(tag, second)
    if said == (first, second):  # nothing of it is known here: a text that is kept as it is
        return english
    return _("%(first)s; %(second)s", first=said[0], second=said[1])


@cache
def _plain() -> frozenset[str]:
    return frozenset(each for each in SENTENCES if not _PLACE.search(each))


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Those with places, the ones first that say the most by themselves."""
    found = [each for each in SENTENCES if _PLACE.search(each)]
    found.sort(key=lambda each: -len(_PLACE.sub("", each)))
    return tuple((_pattern(each), each) for each in found)


def _pattern(message: str) -> re.Pattern[str]:
    # What stands in a place holds no "; ": that is where notes are put together.
    parts = _PLACE.split(message)
    made = [
        f"(?P<{part}>(?:(?!; ).)+?)" if place % 2 else re.escape(part.replace("%%", "%"))
        for place, part in enumerate(parts)
    ]
    return re.compile("".join(made), re.DOTALL)
