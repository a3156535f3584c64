"""Which environment a dashboard belongs to, said on each page, so that nobody acts on the wrong
one."""

from dataclasses import dataclass

LONGEST = 24
"""Characters: it stands beside the name of the program, on a phone too."""
COLOURS = ("red", "amber", "green", "blue", "violet", "grey")
_USUAL = {
    "red": ("prod", "live"),
    "amber": ("stag", "uat", "pre", "qa"),
    "green": ("dev", "local", "test", "ci", "sandbox"),
}
"""How names of environments begin whose colour goes without saying."""


@dataclass(frozen=True, slots=True)
class Label:
    """A word and its colour, one of COLOURS; without a word there is no label."""

    word: str = ""
    colour: str = "grey"

    def __bool__(self) -> bool:
        return bool(self.word)

    def __str__(self) -> str:
        return f"{self.word}:{self.colour}" if self.word else ""


def read_label(text: str) -> Label:
    """`production`, or with a colour of its own `shop EU:violet`. Raises ValueError."""
    word, _, colour = text.strip().rpartition(":")
    if not word or colour not in COLOURS:
        word, colour = text.strip(), ""
    if not word.isprintable() or len(word) > LONGEST or ":" in word:
        raise ValueError(text)
    return Label(word, colour or _usual(word.lower()))


def _usual(word: str) -> str:
    found = (colour for colour, names in _USUAL.items() if word.startswith(names))
    return next(found, "grey")
