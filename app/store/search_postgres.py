"""Text search in PostgreSQL: the folded texts in a table, with an index of trigrams on them.

The index is of the extension `pg_trgm`, which the owner of a database may add wherever the server
has it. Where it has not, or where a word has no three letters or digits in a row, the texts are
compared task by task, newest first, as far as one call may look.
"""

import logging
import re
from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, exc, text

from app.domain.texts import ID_WORD_LENGTH
from app.store.bulk import Insert, look_up

INDEX = "task_texts_trigrams"
_ADD_INDEX = f"CREATE INDEX {INDEX} ON task_texts USING gin (text gin_trgm_ops)"
_ASCII_RUN = re.compile(r"[a-z0-9]+")
_ANY_RUN = re.compile(r"[^\W_]+")
_GRAM = 3
SAMPLED = 1_000
"""Texts that ANALYZE keeps to tell how many have a word: with the usual 100 it could not tell a
word of one in a hundred tasks, best read in order of time, from one of none, best looked up."""

task_texts = Table(
    "task_texts",
    MetaData(),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)
"""A task's call at its place doubled, its outcome one beyond; folded as searches are."""

MATCHES = (
    "NOT EXISTS (SELECT FROM unnest(string_to_array(:words, chr(10))) AS word"  # noqa: S608
    f" WHERE NOT (length(word) >= {ID_WORD_LENGTH} AND starts_with(lower(tasks.id), word))"
    " AND NOT EXISTS (SELECT FROM task_texts WHERE task_texts.place >= tasks.seq * 2"
    " AND task_texts.place <= tasks.seq * 2 + 1 AND strpos(task_texts.text, word) > 0))"
)
"""Condition on a row: each of `words`, a word a line, is in it, or begins its id."""
PLACES = (
    "SELECT place / 2 AS seq FROM task_texts"
    " WHERE text LIKE :sought AND place >= :first_text AND place < :end_text"
)
"""Places whose text has what `sought` makes of a word."""
ORDER = "place"

_ADD = Insert(
    task_texts, ("place", "text"), "ON CONFLICT (place) DO UPDATE SET text = excluded.text"
)
_REMOVE = "DELETE FROM task_texts WHERE place IN ({}) RETURNING place"

log = logging.getLogger(__name__)


def make(connection: Connection) -> None:
    """The table, and its index where the extension can be had; where not, the log says so."""
    # Compared byte by byte, which needs no locale; what is a letter is the database's matter.
    connection.execute(
        text('CREATE TABLE task_texts (place BIGINT PRIMARY KEY, text TEXT COLLATE "C" NOT NULL)')
    )
    connection.execute(text(f"ALTER TABLE task_texts ALTER text SET STATISTICS {SAMPLED}"))
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            connection.execute(text(_ADD_INDEX))
    except exc.DBAPIError as error:
        log.warning(
            "searches will be slow: the extension pg_trgm can't be added (%s); "
            "docs/postgresql.md says what to do",
            str(error.orig).partition("\n")[0],
        )


def indexed(connection: Connection) -> str:
    """Which letters of a word can be looked up: "" for none, "ascii", or "all"."""
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": INDEX}) is None:
        return ""
    # What is a letter is asked of the database's locale; in C no other than ASCII's are.
    return "all" if connection.scalar(text("SELECT show_trgm('東') <> '{}'")) else "ascii"


def write(
    connection: Connection, removed: Sequence[tuple[int, str]], added: Sequence[tuple[int, str]]
) -> None:
    """Takes texts out of the table and puts others in; both in ascending order of places."""
    stays = {place for place, _ in added}
    if gone := [place for place, _ in removed if place not in stays]:
        list(look_up(connection, _REMOVE, gone))
    _ADD.run(connection, added)


def lookable(word: str, letters: str) -> int:
    """How much of a word the index can look up: 0 for one that it can't."""
    if not letters:
        return 0
    runs = (_ANY_RUN if letters == "all" else _ASCII_RUN).findall(word)
    most = max(map(len, runs), default=0)
    return most if most >= _GRAM else 0


def sought(word: str) -> str:
    """The pattern of texts with this word."""
    return "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
