"""Text search: the one place that knows how SQLite indexes words.

An FTS5 index of trigrams finds any part of three characters or more in any script. It keeps
for each trigram only which rows have it, so a search is the rows that have all trigrams of its
longest word, in order, and each row is then read and compared as `app.domain.filters` does
for a task at hand: the two answer the same. Calls (name and arguments) and outcomes (result and
exception) are indexed as two texts, so that a task that ends is not indexed again as a whole.

The writer keeps it in step, in the transaction of the rows, and not triggers: FTS5 writes
out all it has gathered at each savepoint, and a trigger makes one for every row, which costs
eight times as much. For the same reason places must come in ascending order.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, select, text

from app.domain.filters import ID_WORD_LENGTH, call_text, has_words, outcome_text

GRAM = 3
"""Characters of an indexed piece; SQLite's tokenizer has no other length."""

FIRST = (
    "CREATE VIRTUAL TABLE task_texts USING fts5"
    " (text, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1')",
    # Parts of the index are merged eight at a time instead of four: half the rewriting in a
    # storm, for a few more parts to look into at a search.
    "INSERT INTO task_texts (task_texts, rank) VALUES ('automerge', 8)",
)
"""What the first migration makes of all this."""

ID_MATCHES = 10_000
"""Ids that begin so and are looked at; of random ones there are far fewer."""

_MATCHES = text(
    "search_matches(:words, tasks.id, names.value, tasks.args, tasks.args_repr, tasks.kwargs,"
    " tasks.kwargs_repr, tasks.result, tasks.result_repr, tasks.exception)"
)
_PLACES = (
    "SELECT rowid / 2 AS seq FROM task_texts"
    " WHERE task_texts MATCH :grams AND rowid >= :first * 2 AND rowid < :end * 2"
)
_IDS = (
    "SELECT seq FROM (SELECT seq FROM tasks WHERE id >= :begins AND id < :beyond LIMIT :ids)"
    " WHERE seq >= :first AND seq < :end"
)
_ADD = "INSERT INTO task_texts (rowid, text) VALUES (?, ?)"
_REMOVE = "INSERT INTO task_texts (task_texts, rowid, text) VALUES ('delete', ?, ?)"


Searched = tuple[str | None, ...]
"""What is looked through of a task: name, args, args_repr, kwargs, kwargs_repr, then result,
result_repr, exception."""
_CALL, _OUTCOME = slice(0, 5), slice(5, 8)


class Changes:
    """Gathers what a transaction changes in the index, then writes it in order, at once."""

    def __init__(self) -> None:
        self._added: list[tuple[int, str]] = []
        self._removed: list[tuple[int, str]] = []

    def change(self, seq: int, task_id: str, old: Searched | None, new: Searched | None) -> None:
        """The task had that to look through (None: it was not there) and now has this.

        A text's place is the task's, doubled, and one more for the outcome.
        """
        if old is None or new is None or old[_CALL] != new[_CALL]:
            self._change(
                seq * 2,
                "" if old is None else call_text(task_id, *old[_CALL]),
                "" if new is None else call_text(task_id, *new[_CALL]),
            )
        self._change(
            seq * 2 + 1,
            "" if old is None else outcome_text(*old[_OUTCOME]),
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
        for statement, rows in ((_REMOVE, self._removed), (_ADD, self._added)):
            if rows:
                connection.exec_driver_sql(statement, sorted(rows))


def teach(raw: Any) -> None:
    """Gives a new connection the function that searches call."""
    raw.create_function("search_matches", 10, _matches, deterministic=True)


def _matches(words: str, task_id: str, *fields: str | None) -> bool:
    call = call_text(task_id, *fields[:5])
    return has_words(words.split("\n"), task_id, call, outcome_text(*fields[5:]))


def longest(words: Sequence[str]) -> str | None:
    """The word to look up; None where each is shorter than a trigram."""
    word = max(words, key=len, default="")
    return word if len(word) >= GRAM else None


def matches(words: Sequence[str]) -> ColumnElement[bool]:
    """Condition on a row that is joined with `names`: every word is in it."""
    return _MATCHES.bindparams(words="\n".join(words))  # type: ignore[return-value]


def places(word: str, first: int, end: int, descending: bool, limit: int) -> Select[tuple[int]]:
    """The first places within bounds that have a word's trigrams, or an id that begins so.

    A place can come twice, once for its call and once for its outcome.
    """
    statement = _PLACES
    values = {"grams": _grams(word), "first": first, "end": end, "most": limit}
    order = "rowid"
    if _may_begin_id(word):
        statement += " UNION ALL " + _IDS
        values |= {"begins": word, "beyond": word + "g", "ids": ID_MATCHES}
        order = "seq"
    statement += f" ORDER BY {order} {'DESC' if descending else 'ASC'} LIMIT :most"
    found = text(statement).bindparams(**values).columns(seq=BigInteger).subquery()
    return select(found.c.seq)


def _grams(word: str) -> str:
    pieces = dict.fromkeys(word[at : at + GRAM] for at in range(len(word) - GRAM + 1))
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)


def _may_begin_id(word: str) -> bool:
    return len(word) >= ID_WORD_LENGTH and set(word) <= set("0123456789abcdef-")
