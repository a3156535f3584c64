"""Fills a new store with believable tasks, as fast as its database takes them.

Rows, texts and figures are made by the recorder's own functions, in a process beside; left out is
what a recorder asks at each commit (is this task known, is its place taken) and what only matters
to a store that others use meanwhile: SQLite's journal, and PostgreSQL's indexes, made at the end.
"""

import gc
import marshal
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import psycopg
from sqlalchemy import event

from app.domain.sketch import Sketch
from app.domain.tasks import Task
from app.store import labels, queues, rollup_journal, rollup_rows, search_sqlite, task_rows, workers
from app.store.database import Database
from app.store.labels import Kind, Numbers
from app.store.rollup_rows import ALL, HOURS, LEVELS, MINUTES, UNKNOWN, Sums, place_of
from app.store.rollups import MINUTE, Tally
from app.store.rows import COLUMNS
from app.store.schema import STATE_CODES
from app.store.search import Changes
from benchmarks import believable

CHUNK = 20_000
"""Tasks that are made and written together: some 20 MB."""
AHEAD = 3
"""Chunks that are made while one is written."""
MEMORY_KIB = 3_000_000
"""Page cache while SQLite's file is filled: ids are random, and their index should stay in it."""
TEXT_BYTES = 64 << 20
"""Texts that are indexed before they are written out: one part, and not sixty to be merged."""
SEARCH_BYTES = 1 << 20
"""What the recorder's connections have for that, which is SQLite's default."""

ROWS = 2_000
"""Rows of figures of one transaction, in which a server waits for us 2 seconds at most."""
FINE_SECONDS = 27 * 3_600
"""Figures older than this are kept by the hour, so they are counted by the hour here."""

Cells = tuple[Any, ...]
Place = tuple[int, int, int, int]
"""Kind of label, the first second of a time, label and state: what figures are told of."""


@dataclass(frozen=True)
class Chunk:
    """Rows and texts packed, which are most of it; what counts they make."""

    packed: bytes
    states: Counter[int]
    tallies: dict[Place, Tally]


def fill(db: Database, url: str, count: int, ended_at: float) -> None:
    """So many tasks, of the 30 days before `ended_at`, into an empty store."""
    numbers = _begin(db, ended_at)
    target = _Server(url) if url.startswith("postgresql") else _File(db)
    began, done = time.monotonic(), 0
    for chunk in _chunks(count, ended_at, numbers):
        rows, texts = marshal.loads(chunk.packed)
        target.write(rows, texts)
        _add(db, chunk, _fine_from(ended_at))
        done += len(rows)
        if not done % (CHUNK * 25):
            pace = done / (time.monotonic() - began)
            print(f"  {done:,} of {count:,} tasks, {pace:,.0f} a second", flush=True)
    while _prune_figures(db, ended_at):
        pass
    target.end()


def _add(db: Database, chunk: Chunk, fine_from: float) -> None:
    """The figures by label, as the recorder's journal would have added them, and the counts."""
    rows: dict[int, Sums] = {}
    for (kind, moment, label, state), tally in chunk.tallies.items():
        run, wait = Sketch(), Sketch()
        run.add(tally.runtimes)
        wait.add(tally.waits)
        sums = Sums(tally.count, tally.whole, run, wait)
        for level in LEVELS:
            if level.step >= HOURS.step or moment >= fine_from:
                place = place_of(level, kind, moment - moment % level.step, label, state)
                rows.setdefault(place, Sums()).merge(sums)
    places = sorted(rows)
    for at in range(0, len(places), ROWS):
        with db.writing() as connection:
            rollup_rows.add(connection, {place: rows[place] for place in places[at : at + ROWS]})
    with db.writing() as connection:
        task_rows._count(connection, chunk.states)


def _prune_figures(db: Database, ended_at: float) -> int:
    """The finer ones are not kept as long."""
    with db.writing() as connection:
        began = ended_at - believable.DAYS * 86_400
        return rollup_journal.remove_before(connection, began, CHUNK)


def _begin(db: Database, ended_at: float) -> Numbers:
    known_workers, known_queues = believable.fleet(ended_at)
    began = int(ended_at) // MINUTE * MINUTE - believable.DAYS * 86_400
    depths = [
        (minute, name, minute // MINUTE % (50 + place), float(minute // MINUTE % (70 + place)))
        for minute in range(began, int(ended_at), MINUTE)
        for place, name in enumerate(sorted(believable.QUEUES))
    ]
    for at in range(0, len(depths), CHUNK):
        with db.writing() as connection:
            queues._PUT_MINUTE.run(connection, depths[at : at + CHUNK])
    with db.writing() as connection:
        workers.put(connection, known_workers)
        queues.put(connection, known_queues)
        named = {
            Kind.NAME: set(believable.NAMES),
            Kind.QUEUE: set(believable.QUEUES),
            Kind.WORKER: set(believable.WORKERS),
        }
        return labels.number(connection, named)


def _chunks(count: int, ended_at: float, numbers: Numbers) -> Iterator[Chunk]:
    """All of them in order, made in another process, a few ahead."""
    waiting: deque[Future[Chunk]] = deque()
    with ProcessPoolExecutor(1, get_context("spawn"), gc.disable) as pool:
        for first in range(0, count, CHUNK):
            some = min(CHUNK, count - first)
            waiting.append(pool.submit(make, first, some, count, ended_at, numbers))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make(first: int, some: int, count: int, ended_at: float, numbers: Numbers) -> Chunk:
    """Those tasks as the recorder would write them."""
    rows: list[Cells] = []
    changes, states = Changes(), Counter[int]()
    tallies: dict[Place, Tally] = {}
    for task in believable.tasks(first, some, count, ended_at):
        cells = task_rows._cells(task.id, task, numbers, [])
        rows.append(cells)
        changes.add(task.seq, task.id, task_rows._searched(task, cells))
        states[cells[task_rows._STATE]] += 1
        _tally(tallies, task, numbers, _fine_from(ended_at))
    return Chunk(marshal.dumps((rows, changes._added)), states, tallies)


def _fine_from(ended_at: float) -> float:
    """The hour from which on figures are counted by the minute."""
    return (ended_at - FINE_SECONDS) // HOURS.step * HOURS.step


def _tally(tallies: dict[Place, Tally], task: Task, numbers: Numbers, fine_from: float) -> None:
    if task.finished_at is None or not task.state.ended:
        return
    step = MINUTES.step if task.finished_at >= fine_from else HOURS.step
    moment = int(task.finished_at) // step * step
    for kind, text in ((ALL, None), *_labels_of(task)):
        label = UNKNOWN if kind == ALL else numbers[Kind(kind)][text] or UNKNOWN
        place = (kind, moment, label, STATE_CODES[task.state])
        tallies.setdefault(place, Tally()).add(task.runtime, task.wait, task.whole)


def _labels_of(task: Task) -> tuple[tuple[Kind, str | None], ...]:
    return (Kind.NAME, task.name), (Kind.QUEUE, task.queue), (Kind.WORKER, task.worker)


class _File:
    """SQLite's, by a connection that keeps no journal; whoever kills it begins anew."""

    def __init__(self, db: Database) -> None:
        self._db = db
        event.listen(db.engine, "connect", self._prepare)
        db.engine.dispose()
        self._set_text_bytes(TEXT_BYTES)

    def write(self, rows: list[Cells], texts: list[tuple[int, str]]) -> None:
        with self._db.writing() as connection:
            task_rows._INSERT.run(connection, rows)
            search_sqlite.write(connection, [], texts)

    def end(self) -> None:
        """As a recorder would have left it: most texts in one part, a journal, its settings."""
        with self._db.writing() as connection:
            connection.exec_driver_sql("INSERT INTO task_texts (task_texts) VALUES ('optimize')")
        self._set_text_bytes(SEARCH_BYTES)
        event.remove(self._db.engine, "connect", self._prepare)
        self._db.engine.dispose()
        raw = self._db.engine.raw_connection()
        raw.cursor().execute("PRAGMA journal_mode=WAL").fetchall()
        raw.close()

    def _set_text_bytes(self, size: int) -> None:
        with self._db.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO task_texts (task_texts, rank) VALUES ('hashsize', ?)", (size,)
            )

    @staticmethod
    def _prepare(raw: Any, _record: object) -> None:
        cursor = raw.cursor()
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{MEMORY_KIB}"):
            cursor.execute(f"PRAGMA {pragma}").fetchall()


class _Server:
    """PostgreSQL, by COPY into tables without indexes but those of their keys."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._ask = partial(self._connection.execute)
        self._later = self._put_off()

    def _put_off(self) -> list[str]:
        """Removes indexes and constraints of the large tables; the statements that make them."""
        tables = "('tasks', 'task_texts')"
        constraints = self._ask(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE contype = 'u' AND conrelid::regclass::text IN {tables}"
        ).fetchall()
        for table, name, _ in constraints:
            self._ask(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        indexes = self._ask(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            f" WHERE NOT indisprimary AND indrelid::regclass::text IN {tables}"
        ).fetchall()
        for name, _ in indexes:
            self._ask(f"DROP INDEX {name}")
        unique = [
            f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {rest}'
            for table, name, rest in constraints
        ]
        return [*unique, *[statement for _, statement in indexes]]

    def write(self, rows: list[Cells], texts: list[tuple[int, str]]) -> None:
        self._copy(f"tasks ({', '.join(COLUMNS)})", rows)
        self._copy("task_texts (place, text)", texts)

    def _copy(self, into: str, rows: list[Cells]) -> None:
        with self._connection.cursor().copy(f"COPY {into} FROM STDIN") as copy:
            copy.write("".join(["\t".join(map(_copied, row)) + "\n" for row in rows]))

    def end(self) -> None:
        """Makes the indexes, and what the planner is to know."""
        self._ask("SET maintenance_work_mem = '1GB'")
        for statement in self._later:
            began = time.monotonic()
            self._ask(statement)
            print(f"  {time.monotonic() - began:,.0f} s: {statement[:70]}", flush=True)
        self._ask("VACUUM (ANALYZE) tasks")
        self._ask("VACUUM (ANALYZE) task_texts")
        self._ask("ANALYZE")
        self._connection.close()


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copied(cell: object) -> str:
    """A cell in COPY's text form."""
    if cell is None:
        return "\\N"
    return cell.translate(_ESCAPES) if type(cell) is str else str(cell)
