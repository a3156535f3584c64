"""Text search: the one place that knows how SQLite indexes words.

An FTS5 index of trigrams finds any part of three characters or more in any script. It keeps
for each trigram only which rows have it, so a search is the rows that have all trigrams of its
longest word, newest first, and each row is then read and compared as `app.domain.filters` does
for a task at hand: the two answer the same. Calls (name and arguments) and outcomes (result and
exception) are indexed as two texts, so that a task that ends is not indexed again as a whole.
Triggers keep the index in step with the rows within the same transaction.
"""

from collections.abc import Sequence
from typing import Any

from app.domain.filters import ID_WORD_LENGTH, call_text, has_words, outcome_text

GRAM = 3
"""Characters of an indexed piece; SQLite's tokenizer has no other length."""
_CALL = (
    "search_call({0}.id, (SELECT value FROM labels WHERE labels.id = {0}.name_id),"
    " {0}.args, {0}.args_repr, {0}.kwargs, {0}.kwargs_repr)"
)
_OUTCOME = "search_outcome({0}.result, {0}.result_repr, {0}.exception)"
_CALL_COLUMNS = ("name_id", "args", "args_repr", "kwargs", "kwargs_repr")
_OUTCOME_COLUMNS = ("result", "result_repr", "exception")
# A text's place in the index: the task's, doubled, and one more for the outcome.
_CALL_PLACE = "{0}.seq * 2"
_OUTCOME_PLACE = "{0}.seq * 2 + 1"


def _present(row: str) -> str:
    return " OR ".join(f"{row}.{column} IS NOT NULL" for column in _OUTCOME_COLUMNS)


def _differ(columns: Sequence[str]) -> str:
    return " OR ".join(f"old.{column} IS NOT new.{column}" for column in columns)


def _add(place: str, text: str) -> str:
    return f"INSERT INTO task_texts (rowid, text) VALUES ({place.format('new')}, {text.format('new')});"


def _remove(place: str, text: str) -> str:
    return (
        "INSERT INTO task_texts (task_texts, rowid, text)"
        f" VALUES ('delete', {place.format('old')}, {text.format('old')});"
    )


FIRST = (
    "CREATE VIRTUAL TABLE task_texts USING fts5"
    " (text, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1')",
    f"CREATE TRIGGER tasks_call_added AFTER INSERT ON tasks BEGIN {_add(_CALL_PLACE, _CALL)} END",
    f"CREATE TRIGGER tasks_outcome_added AFTER INSERT ON tasks WHEN {_present('new')}"
    f" BEGIN {_add(_OUTCOME_PLACE, _OUTCOME)} END",
    f"CREATE TRIGGER tasks_call_changed AFTER UPDATE ON tasks WHEN {_differ(_CALL_COLUMNS)}"
    f" BEGIN {_remove(_CALL_PLACE, _CALL)} {_add(_CALL_PLACE, _CALL)} END",
    f"CREATE TRIGGER tasks_outcome_gone AFTER UPDATE ON tasks"
    f" WHEN ({_differ(_OUTCOME_COLUMNS)}) AND ({_present('old')})"
    f" BEGIN {_remove(_OUTCOME_PLACE, _OUTCOME)} END",
    f"CREATE TRIGGER tasks_outcome_came AFTER UPDATE ON tasks"
    f" WHEN ({_differ(_OUTCOME_COLUMNS)}) AND ({_present('new')})"
    f" BEGIN {_add(_OUTCOME_PLACE, _OUTCOME)} END",
    f"CREATE TRIGGER tasks_call_removed AFTER DELETE ON tasks"
    f" BEGIN {_remove(_CALL_PLACE, _CALL)} END",
    f"CREATE TRIGGER tasks_outcome_removed AFTER DELETE ON tasks WHEN {_present('old')}"
    f" BEGIN {_remove(_OUTCOME_PLACE, _OUTCOME)} END",
)
"""What the first migration makes of all this."""

MATCHES = f"search_matches(:words, tasks.id, {_CALL.format('tasks')}, {_OUTCOME.format('tasks')})"
"""Condition: every word of `:words` (a line each) is in the row."""


def teach(raw: Any) -> None:
    """Gives a new connection the functions that the triggers and searches call."""
    raw.create_function("search_call", 6, call_text, deterministic=True)
    raw.create_function("search_outcome", 3, outcome_text, deterministic=True)
    raw.create_function("search_matches", 4, _matches, deterministic=True)


def _matches(words: str, task_id: str, call: str, outcome: str) -> bool:
    return has_words(words.split("\n"), task_id, call, outcome)


def longest(words: Sequence[str]) -> str | None:
    """The word to look up; None where each is shorter than a trigram."""
    word = max(words, key=len)
    return word if len(word) >= GRAM else None


def grams(word: str) -> str:
    """A full-text query for rows that have every trigram of a word."""
    pieces = dict.fromkeys(word[at : at + GRAM] for at in range(len(word) - GRAM + 1))
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)


def may_begin_id(word: str) -> bool:
    """Whether a word could be the beginning of a UUID."""
    return len(word) >= ID_WORD_LENGTH and set(word) <= set("0123456789abcdef-")
