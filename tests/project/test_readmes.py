"""The Japanese README says what the English one does: the same steps, places, settings, rows."""

import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support import ROOT

ENGLISH, JAPANESE = ((ROOT / name).read_text() for name in ("README.md", "README.ja.md"))
BLOCKS = re.compile(r"^```(.*?)^```", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"[ \t]+#.*")


def commands(text: str) -> list[str]:
    """What stands in blocks of code, without what is said about it beside."""
    return [COMMENT.sub("", block) for block in BLOCKS.findall(text)]


def links(text: str) -> Counter[str]:
    return Counter(re.findall(r"\]\(([^)]+)\)", text)) - Counter(["README.md", "README.ja.md"])


def rows(text: str) -> list[int]:
    """How many cells each row of a table has."""
    return [len(line.split("|")) for line in text.splitlines() if line.startswith("|")]


def levels(text: str) -> list[str]:
    return re.findall(r"^(#+) ", BLOCKS.sub("", text), re.MULTILINE)


def quoted(text: str) -> Counter[str]:
    """Names, values and paths that stand in backquotes."""
    return Counter(re.findall(r"`([^`]+)`", BLOCKS.sub("", text)))


@pytest.mark.parametrize("told", [commands, links, rows, levels, quoted])
def test_both_readmes_tell_the_same(told: Callable[[str], object]) -> None:
    assert told(JAPANESE) == told(ENGLISH)


def test_each_readme_leads_to_the_other() -> None:
    assert "](README.ja.md)" in ENGLISH
    assert "](README.md)" in JAPANESE
