"""Text search in SQLite: an FTS5 index of trigrams.

It keeps for each trigram only which texts have it, so a search is the texts that have all
trigrams of its longest word, in order.

The writer keeps it in step and not triggers: FTS5 writes out all it has gathered at each
savepoint, and a trigger makes one for every row, which costs eight times as much. For the same
reason places come in ascending order.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.domain.texts import call_text, has_words, outcome_text

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

MATCHES = (
    "search_matches(:words, tasks.id, names.value, tasks.args, tasks.args_repr, tasks.kwargs,"
    " tasks.kwargs_repr, tasks.result, tasks.result_repr, tasks.exception)"
)
"""Condition on a row that is joined with `names`: each of `words`, a word a line, is in it."""
PLACES = (
    "SELECT rowid / 2 AS seq FROM task_texts"
    " WHERE task_texts MATCH :sought AND rowid >= :first_text AND rowid < :end_text"
)
"""Places whose text has what `sought` makes of a word."""
ORDER = "rowid"
_ADD = "INSERT INTO task_texts (rowid, text) VALUES (?, ?)"
_REMOVE = "INSERT INTO task_texts (task_texts, rowid, text) VALUES ('delete', ?, ?)"


def write(
    connection: Connection, removed: Sequence[tuple[int, str]], added: Sequence[tuple[int, str]]
) -> None:
    """Takes texts out of the index and puts others in; both in ascending order of places."""
    for statement, rows in ((_REMOVE, removed), (_ADD, added)):
        if rows:
            connection.exec_driver_sql(statement, list(rows))


def teach(raw: Any) -> None:
    """Gives a new connection the function that searches call."""
    raw.create_function("search_matches", 10, _matches, deterministic=True)


def _matches(words: str, task_id: str, *fields: str | None) -> bool:
    call = call_text(task_id, *fields[:5])
    return has_words(words.split("\n"), task_id, call, outcome_text(*fields[5:]))


def lookable(word: str, _letters: str) -> int:
    """How much of a word the index can look up: 0 for one that it can't."""
    return len(word) if len(word) >= GRAM else 0


def sought(word: str) -> str:
    """What is looked up for a word: all of its trigrams."""
    pieces = dict.fromkeys(word[at : at + GRAM] for at in range(len(word) - GRAM + 1))
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
