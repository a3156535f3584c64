"""What people have marked, such as deployments, as it stands in charts."""

from collections.abc import Sequence
from typing import NamedTuple

from app.store.markers import Marker
from app.web.pages.formats import cut
from app.web.pages.scales import WHOLE, Span

DRAWN = 30
"""Marks of a chart at most, the newest: more are a fence."""
APART = 12.0
"""Of the width that two marks stand apart of which both have a word; else only the newer has."""
LONGEST_WORD = 14
"""Characters of such a word: what fits into that."""
TURN = 75.0
"""From here on a word stands before its line, or it would not end within the chart."""
_APART_IN_DATA = str.maketrans("|;", "/,")
"""What stands between the cells of a step in a page's data."""


class Mark(NamedTuple):
    """One mark: where it stands, its word ("" where there is no room), and what is known of it.
    `turned`: the word stands before its line."""

    x: float
    word: str
    turned: bool
    at: float
    title: str
    version: str | None
    url: str | None

    @property
    def words(self) -> str:
        """`v1.2: Deployed the shop`."""
        return f"{self.version}: {self.title}" if self.version else self.title


def marks_of(span: Span, marked: Sequence[Marker]) -> tuple[Mark, ...]:
    """The marks of a chart, the newest first, as `marked` has them."""
    found: list[Mark] = []
    last = 2 * WHOLE
    within = [each for each in marked if span.first <= each.at < span.end]
    for each in within[:DRAWN]:
        x = span.x(each.at)
        word = cut(each.version or each.title, LONGEST_WORD) if last - x >= APART else ""
        last = x if word else last
        found.append(Mark(x, word, x > TURN, each.at, each.title, each.version, each.url))
    return tuple(found)


def said(marks: Sequence[Mark], since: float, until: float) -> str:
    """The marks of one step, in words that can stand in a page's data."""
    found = [mark.words for mark in marks if since <= mark.at < until]
    return cut(", ".join(found)).translate(_APART_IN_DATA)
