"""Text search: which tasks have every word, as `app.domain.texts` says for a task at hand.

Either database has an index of trigrams, which finds any part of three characters or more. A
search looks up the longest of its words there, in order of time, and compares each task found
with all of them. What the databases have of their own is in `search_sqlite` and
`search_postgres`. Calls (name and arguments) and outcomes (result and exception) are indexed as
two texts, so that a task that ends is not indexed again as a whole; the writer does it, in the
transaction of the rows.
"""

import re
from collections.abc import Sequence

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, select, text

from app.domain.texts import ID_WORD_LENGTH, call_text, outcome_text
from app.store import search_postgres, search_sqlite
from app.store.bulk import is_postgres

ID_MATCHES = 10_000
"""Ids that begin so and are looked at; of random ones there are far fewer."""
LETTERS = "umbel_letters"
"""The engine's option that keeps what `search_postgres.indexed` found."""
PARTS = 3
"""Parts of a word that are tried."""
_PART = re.compile(r"\w+")
_LAST_TEXT = 2**63 - 1

_IDS = (
    "SELECT seq FROM (SELECT seq FROM tasks WHERE id >= :begins AND id < :beyond LIMIT :ids)"
    " AS begun WHERE seq >= :first AND seq < :end"
)

Searched = tuple[str | None, ...]
"""What is looked through of a task: name, args, args_repr, kwargs, kwargs_repr, then result,
result_repr, exception."""
_CALL, _OUTCOME = slice(0, 5), slice(5, 8)


class Changes:
    """Gathers what a transaction changes in the index, then writes it in order, at once."""

    def __init__(self) -> None:
        self._added: list[tuple[int, str]] = []
        self._removed: list[tuple[int, str]] = []

    def add(self, seq: int, task_id: str, new: Searched) -> None:
        """A new task has that to look through.

        A text's place is the task's, doubled, and one more for the outcome.
        """
        if call := call_text(task_id, *new[_CALL]):
            self._added.append((seq * 2, call))
        if outcome := outcome_text(*new[_OUTCOME]):
            self._added.append((seq * 2 + 1, outcome))

    def change(self, seq: int, task_id: str, old: Searched, new: Searched | None) -> None:
        """The task had that to look through and now has this; None: it is no longer there."""
        if new is None or old[_CALL] != new[_CALL]:
            self._change(
                seq * 2,
                call_text(task_id, *old[_CALL]),
                "" if new is None else call_text(task_id, *new[_CALL]),
            )
        self._change(
            seq * 2 + 1,
            outcome_text(*old[_OUTCOME]),
            "" if new is None else outcome_text(*new[_OUTCOME]),
        )

    def _change(self, place: int, was: str, becomes: str) -> None:
        if was != becomes:
            if was:
                self._removed.append((place, was))
            if becomes:
                self._added.append((place, becomes))

    def write(self, connection: Connection) -> None:
        """Writes them, in the transaction of the rows."""
        own = search_postgres if is_postgres(connection) else search_sqlite
        own.write(connection, sorted(self._removed), sorted(self._added))


def to_look_up(connection: Connection, words: Sequence[str]) -> str | None:
    """The word to look up in the index; None where it has none of them."""
    own = search_postgres if is_postgres(connection) else search_sqlite
    letters = connection.get_execution_options().get(LETTERS, "")
    word = max(words, key=lambda each: own.lookable(each, letters), default="")
    return word if own.lookable(word, letters) else None


def parts(connection: Connection, word: str) -> list[str]:
    """What of a word can be looked up in its stead, so that the rarest part is found by trying.

    SQLite goes through all texts with each trigram, and every address ends like others do;
    PostgreSQL begins with the rarest by itself.
    """
    if is_postgres(connection) or _may_begin_id(word):
        return [word]
    found = [part for part in _PART.findall(word) if search_sqlite.lookable(part, "")]
    return sorted(found, key=len, reverse=True)[:PARTS] or [word]


def matches(connection: Connection, words: Sequence[str]) -> ColumnElement[bool]:
    """Condition on a row that is joined with `names`: every word is in it."""
    own = search_postgres if is_postgres(connection) else search_sqlite
    return text(own.MATCHES).bindparams(words="\n".join(words))  # type: ignore[return-value]


def lacks(connection: Connection, words: Sequence[str]) -> list[ColumnElement[bool]]:
    """Conditions on a row that is joined with `names`: none of the words is in it."""
    own = search_postgres if is_postgres(connection) else search_sqlite
    found = []
    for number, word in enumerate(words):
        condition = text(f"NOT ({own.MATCHES})".replace(":words", f":lacking{number}"))
        found.append(condition.bindparams(**{f"lacking{number}": word}))
    return found  # type: ignore[return-value]


def places(
    connection: Connection, word: str, first: int, end: int, descending: bool, limit: int
) -> Select[tuple[int]]:
    """The first places within bounds that have a word, or an id that begins so.

    A place can come twice, once for its call and once for its outcome.
    """
    own = search_postgres if is_postgres(connection) else search_sqlite
    way = "DESC" if descending else "ASC"
    statement = f"{own.PLACES} ORDER BY {own.ORDER} {way} LIMIT :most"
    values = {"sought": own.sought(word), "most": limit}
    values |= {"first_text": first * 2, "end_text": min(end * 2, _LAST_TEXT)}
    if _may_begin_id(word):
        # Cut by itself, for what is merged is read to its end.
        statement = f"SELECT seq FROM ({statement}) AS texts UNION ALL {_IDS}"  # noqa: S608
        statement += f" ORDER BY seq {way} LIMIT :most"
        values |= {"begins": word, "beyond": word + "g", "ids": ID_MATCHES}
        values |= {"first": first, "end": end}
    found = text(statement).bindparams(**values).columns(seq=BigInteger).subquery()
    return select(found.c.seq)


def _may_begin_id(word: str) -> bool:
    return len(word) >= ID_WORD_LENGTH and set(word) <= set("0123456789abcdef-")
