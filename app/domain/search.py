"""The search grammar: what people type into the box above the tasks, and `q` of every address.

    state:failure,lost name:mail* -queue:bulk args.user_id:123 runtime:>5s since:2h "no route"

A term is a key, a colon and one or several values; a minus before it leaves out what it matches.
Any other word, or what stands in double quotes, is looked for in the texts of a task. This module
alone reads it and prints it back, in one canonical form that reads the same.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.errors import BadSearch, Mistake
from app.domain.search_keys import KEYS, TEXT, WHOLE_KEYS, Key, Said, read_value, unknown_key

MAX_SEARCH = 2_000
"""Characters of a whole search; an address should not be much longer."""
MAX_TERMS = 50
"""Words and values of one search; more is a script that should filter for itself."""
SHOWN_MISTAKES = 5
"""Mistakes that are told at once; a person mends one after the other."""

_SPACE = re.compile(r"\s+")
_KEY = re.compile(r"(-?)([A-Za-z_]+(?:\.[^\s:\",]+)?):(?!//)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_VALUE = re.compile(r"[^\s,]*")
_WORD = re.compile(r"\S+")
_NUMBER = re.compile(r"-[\d.,:]+")
_ESCAPED = re.compile(r'\\(["\\])')

EMPTY = "Say what {key} should be, such as {example}."
OPEN_QUOTE = 'The quotes that begin here do not end. Put a " where they should.'
GLUED = "After the quotes should come a space, or a comma and another value."
TOO_LONG = "The search has {length} characters; at most {most}."
TOO_MANY = "The search has {count} words and values; at most {most}."
NOTHING_LEFT = "This leaves out every state that is asked for, so nothing could match."


@dataclass(frozen=True, slots=True)
class Term:
    """What is asked of one key: any of these values, or none of them where it is negated.

    Of TEXT, which has no key, all words are asked for; of `since`, `until`, `ended` and `runtime`
    all bounds.
    """

    key: str
    values: tuple[str, ...]
    negated: bool = False

    @property
    def parts(self) -> tuple["Term", ...]:
        """A term for each value: what one can take away alone."""
        return tuple(Term(self.key, (value,), self.negated) for value in self.values)

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        if self.key == TEXT:
            return " ".join(_print_word(value, sign) for value in self.values)
        if self.key in WHOLE_KEYS:
            return " ".join(f"{self.key}:{_print_value(value)}" for value in self.values)
        return f"{sign}{self.key}:" + ",".join(map(_print_value, self.values))


@dataclass(frozen=True, slots=True)
class Search:
    """A search as its terms: one for each key and sign, in canonical order."""

    terms: tuple[Term, ...] = ()

    @classmethod
    def of(cls, terms: Iterable[Term]) -> "Search":
        """Terms put together: values of the same key and sign in one, each once."""
        values: dict[tuple[str, bool], list[str]] = {}
        for term in terms:
            values.setdefault((term.key, term.negated), []).extend(term.values)
        found = [Term(key, tuple(dict.fromkeys(of)), no) for (key, no), of in values.items() if of]
        return cls(tuple(sorted(found, key=lambda term: (_rank(term.key), term.key, term.negated))))

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def values(self, key: str, *, negated: bool = False) -> tuple[str, ...]:
        """The values of a key."""
        return next(
            (term.values for term in self.terms if (term.key, term.negated) == (key, negated)), ()
        )

    def without(self, gone: Term) -> "Search":
        """The search without these values of that term."""
        kept = [part for term in self.terms for part in term.parts if part not in gone.parts]
        return Search.of(kept)

    def with_only(self, key: str, *values: str) -> "Search":
        """The search with these values, and no others, of a key."""
        others = [term for term in self.terms if term.key != key]
        return Search.of([*others, Term(key, values)])


def parse_search(text: str) -> Search:
    """What a text means. Raises BadSearch, which points at each place that is not understood."""
    if len(text) > MAX_SEARCH:
        said = TOO_LONG.format(length=len(text), most=MAX_SEARCH)
        raise BadSearch(text, [Mistake(MAX_SEARCH, len(text) - MAX_SEARCH, said)])
    reader = _Reader(text)
    search = Search.of(reader.read())
    if not reader.mistakes:
        reader.check(search)
    if reader.mistakes:
        raise BadSearch(text, reader.mistakes[:SHOWN_MISTAKES])
    return search


def words_of(text: str) -> tuple[str, ...]:
    """The words of a free text; what stands in double quotes stays together. Nothing is a key
    here, and nothing a mistake."""
    words, at = [], 0
    while at < len(text):
        found = _SPACE.match(text, at)
        if found is None and (found := _QUOTED.match(text, at)):
            words.append(_plain(found[1]))
        elif found is None and (found := _WORD.match(text, at)):
            words.append(found[0])
        at = at + 1 if found is None else found.end()
    return tuple(word for word in words if word)


def print_words(words: Iterable[str]) -> str:
    """Words as a free text that has the same."""
    return " ".join(_print_word(word, "") for word in words)


class _Reader:
    """Goes through a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.mistakes: list[Mistake] = []
        self._places: list[tuple[Term, int, int]] = []

    def read(self) -> list[Term]:
        while self.at < len(self.text):
            if space := _SPACE.match(self.text, self.at):
                self.at = space.end()
                continue
            began = self.at
            head = self._head()
            term = self._word() if head is None else self._term(head)
            if term is not None:
                self._places.append((term, began, self.at - began))
        return [term for term, _, _ in self._places]

    def check(self, search: Search) -> None:
        """What can be said only of the whole."""
        count = sum(len(term.values) for term in search.terms)
        if count > MAX_TERMS:
            said = TOO_MANY.format(count=count, most=MAX_TERMS)
            self.mistakes.append(Mistake(0, len(self.text), said))
        asked = set(search.values("state")) or set(KEYS["state"].choices)
        if asked <= set(search.values("state", negated=True)):
            at, length = next(
                (at, length)
                for term, at, length in reversed(self._places)
                if (term.key, term.negated) == ("state", True)
            )
            self.mistakes.append(Mistake(at, length, NOTHING_LEFT))

    def _head(self) -> re.Match[str] | None:
        """What looks like a key and a colon here, unless it may well be text."""
        head = _KEY.match(self.text, self.at)
        if head is None or _known(head[2]) is not None:
            return head
        value = _ahead(_VALUE, self.text, head.end())
        return head if value and unknown_key(head[2]) is not None else None

    def _term(self, head: re.Match[str]) -> Term | None:
        key, at, known = head[2], head.start(2), _known(head[2])
        self.at = head.end()
        values = self._values()
        if known is None:
            if said := unknown_key(key):
                self._note(at, len(key), said)
            return None
        if not values:
            self._note(at, len(key) + 1, Said(EMPTY.format(key=known.name, example=known.example)))
            return None
        return self._understood(key, at, values, head[1] == "-")

    def _understood(
        self, key: str, at: int, values: list[tuple[str, int, int]], negated: bool
    ) -> Term | None:
        name, found = key.lower(), list[str]()
        for value, begins, length in values:
            try:
                name, read = read_value(key, value, negated)
            except ValueError as refused:
                said: Said = refused.args[0]
                where = (at, len(key)) if said.of_key else (begins, length)
                self._note(*where, said)
            else:
                found += read
        return Term(name, tuple(found), negated) if found else None

    def _values(self) -> list[tuple[str, int, int]]:
        """The values from here on, each with where it stands."""
        found = []
        while True:
            began = self.at
            if value := self._value():
                found.append((value, began, self.at - began))
            if self.text[self.at : self.at + 1] != ",":
                return found
            self.at += 1

    def _value(self) -> str:
        if self.text[self.at : self.at + 1] == '"':
            return self._quoted(after=",")
        return self._run(_VALUE)

    def _run(self, pattern: re.Pattern[str]) -> str:
        found = _ahead(pattern, self.text, self.at)
        self.at += len(found)
        return found

    def _word(self) -> Term | None:
        negated = self._leaves_out()
        if negated:
            self.at += 1
        if self.text[self.at] == '"':
            word = " ".join(self._quoted(after="").split())
        else:
            word = self._run(_WORD)
        if not word:
            return None
        try:
            return Term(TEXT, tuple(read_value(TEXT, word, negated)[1]), negated)
        except ValueError as refused:
            self._note(self.at - len(word), len(word), refused.args[0])
            return None

    def _leaves_out(self) -> bool:
        """Whether a minus here leaves out what follows: one before a number belongs to it."""
        word = _ahead(_WORD, self.text, self.at)
        return word[:1] == "-" and word[1:2] not in ("", "-") and not _NUMBER.fullmatch(word)

    def _quoted(self, after: str) -> str:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            self._note(self.at, 1, Said(OPEN_QUOTE))
            self.at = len(self.text)
            return ""
        self.at = found.end()
        beyond = self.text[self.at : self.at + 1]
        if beyond and not beyond.isspace() and beyond != after:
            self._note(self.at, 1, Said(GLUED))
        return _plain(found[1])

    def _note(self, at: int, length: int, said: Said) -> None:
        self.mistakes.append(Mistake(at, length, said.sentence, said.instead))


def _ahead(pattern: re.Pattern[str], text: str, at: int) -> str:
    """What of a text fits from a place on."""
    found = pattern.match(text, at)
    return "" if found is None else found[0]


def _known(key: str) -> Key | None:
    return KEYS.get(key.partition(".")[0].lower())


def _rank(key: str) -> int:
    return list(KEYS).index(key.partition(".")[0])


def _plain(quoted: str) -> str:
    return _ESCAPED.sub(r"\1", quoted)


def _quote(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _print_value(value: str) -> str:
    plain = value and value[0] != '"' and _VALUE.fullmatch(value)
    return value if plain else _quote(value)


def _print_word(word: str, sign: str) -> str:
    reader = _Reader(sign + word)
    plain = reader.read() == [Term(TEXT, (word,), bool(sign))] and not reader.mistakes
    return sign + (word if plain else _quote(word))
