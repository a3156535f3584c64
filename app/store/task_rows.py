"""Tasks written: new ones inserted, known ones updated, the text index kept in step."""

from collections import Counter
from collections.abc import Sequence, Set
from math import isfinite
from random import randrange
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, text

from app.domain.tasks import SEQ_SHIFT, Task
from app.store.bulk import Insert, Update, is_postgres, look_up
from app.store.labels import Kind, Numbers
from app.store.rows import (
    COLUMNS,
    HEAD,
    ID_LENGTH,
    INLINE,
    REPR_LIMIT,
    TEXT_LIMIT,
    VALUE_LIMIT,
    clean,
    finite,
    harmless,
    small,
    steps_text,
    within,
)
from app.store.schema import STATE_CODES, state_counts, task_values, tasks
from app.store.search import Changes, Searched

FURTHEST = 1 << (SEQ_SHIFT + 10)
"""How far a task moves at most at a step when its place is taken: about a millisecond."""

# Made once: building these from objects at every tick costs more than running them.
_INSERT = Insert(tasks, COLUMNS)
_PLAIN = (
    "seq",
    "id",
    "state",
    "name_id",
    "queue_id",
    "worker_id",
    "priority",
    "retries",
    "outside",
    "sent_at",
    "received_at",
    "started_at",
    "finished_at",
    "runtime",
    "root_id",
    "args_repr",
    "kwargs_repr",
    "result_repr",
    "transitions",
)
"""What most tasks have: the other half of the columns need not be written as empty."""
_INSERT_PLAIN = Insert(tasks, _PLAIN)
_UPDATE = Update(tasks, COLUMNS[2:], key="seq")
_PUT_VALUE = Insert(
    task_values,
    ("seq", "field", "value"),
    "ON CONFLICT (seq, field) DO UPDATE SET value = excluded.value",
)
_SEEN = (
    "SELECT tasks.id, seq, state, names.value, args, args_repr, kwargs, kwargs_repr,"
    " result, result_repr, exception"
    " FROM tasks LEFT JOIN labels AS names ON names.id = name_id"
)
_KNOWN = _SEEN + " WHERE tasks.id IN ({})"
_OLDEST = text(_SEEN + " WHERE seq < :place ORDER BY seq LIMIT :most")
_TAKE_OLDEST = text(
    "WITH old AS (SELECT seq FROM tasks WHERE seq < :place ORDER BY seq LIMIT :most),"
    " gone AS (DELETE FROM tasks USING old WHERE tasks.seq = old.seq"
    " RETURNING tasks.seq, tasks.state)"
    " SELECT state, count(*), min(seq), max(seq) FROM gone GROUP BY state"
)
_REMOVE_TEXTS = text("DELETE FROM task_texts WHERE place BETWEEN :first AND :last")
_TAKEN = "SELECT seq FROM tasks WHERE seq IN ({})"
_LAST = "SELECT max(seq) FROM tasks"

Several = tuple[str | None, ...]
Cells = tuple[Any, ...]
"""A row's cells in the order of the table's columns."""
_STATE = COLUMNS.index("state")
_ARGS = COLUMNS.index("args")
_ARGS_REPR = COLUMNS.index("args_repr")
_EXCEPTION = COLUMNS.index("exception")
_NOTHING = (None,) * (len(COLUMNS) - len(_PLAIN))


_COUNT = Insert(
    state_counts,
    ("state", "count"),
    "ON CONFLICT (state) DO UPDATE SET count = state_counts.count + excluded.count",
)


class _Known(NamedTuple):
    """What the store has of a task already; `searched` is as `_searched` gives it."""

    id: str
    seq: int
    state: int
    searched: Searched


def put(
    connection: Connection, batch: Sequence[Task], numbers: Numbers, new: Set[str] = frozenset()
) -> None:
    """Writes tasks as they are now, and sets each one's `seq` to the place that it has. Those of
    `new` are known not to be there."""
    wanted = {clean(task.id, ID_LENGTH) or "": task for task in batch}
    known = _known(connection, [task_id for task_id in wanted if task_id not in new])
    for task_id, before in known.items():
        wanted[task_id].seq = before.seq
    _make_room(connection, [task for task_id, task in wanted.items() if task_id not in known])
    added: list[Cells] = []
    plain: list[Cells] = []
    changed: list[Cells] = []
    outside: list[tuple[int, int, str]] = []
    changes, states = Changes(), Counter[int]()
    # In order of their places, so that neighbours share the pages that they change.
    for task_id, task in sorted(wanted.items(), key=lambda item: item[1].seq):
        present = known.get(task_id)
        states[STATE_CODES[task.state]] += 1
        if present is None and (cells := _plain_cells(task_id, task, numbers)) is not None:
            plain.append(cells)
            changes.add(task.seq, task_id, _searched_plain(task))
            continue
        cells = _cells(task_id, task, numbers, outside)
        searched = _searched(task, cells)
        if present is None:
            added.append(cells)
            changes.add(task.seq, task_id, searched)
            continue
        states[present.state] -= 1
        changed.append((*cells[_STATE:], task.seq))
        if present.searched != searched:
            changes.change(task.seq, task_id, present.searched, searched)
    _INSERT_PLAIN.run(connection, plain)
    for statement, rows in ((_INSERT, added), (_UPDATE, changed), (_PUT_VALUE, outside)):
        statement.run(connection, rows)
    changes.write(connection)
    _count(connection, states)


def _plain_cells(task_id: str, task: Task, numbers: Numbers) -> Cells | None:
    """The cells of `_PLAIN`, if it has nothing else and nothing that must be made harmless."""
    seldom = (
        task.custom_state,
        task.eta,
        task.expires,
        task.progress_current,
        task.progress_total,
        task.progress_message,
        task.parent_id,
        task.group_id,
        task.retry_of,
        task.args,
        task.kwargs,
        task.result,
        task.exception,
        task.traceback,
        task.chord_id,
        task.redelivery_at,
    )
    reprs, root_id = (task.args_repr, task.kwargs_repr, task.result_repr), task.root_id
    if seldom != _NOTHING or not harmless((root_id, *reprs)):
        return None
    moments = (task.sent_at, task.received_at, task.started_at, task.finished_at, task.runtime)
    if None in moments or not isfinite(sum(moments)):  # type: ignore[arg-type]
        moments = finite(moments)  # type: ignore[assignment]
    return (
        task.seq,
        task_id,
        STATE_CODES[task.state],
        numbers[Kind.NAME][task.name],
        numbers[Kind.QUEUE][task.queue],
        numbers[Kind.WORKER][task.worker],
        None if task.priority is None else small(task.priority),
        small(task.retries) if task.retries else 0,
        0,
        *moments,
        "" if root_id == task_id else root_id or None,
        *reprs,
        steps_text(task.transitions),
    )


def _searched_plain(task: Task) -> Searched:
    name = clean(task.name, ID_LENGTH)
    return name, None, task.args_repr, None, task.kwargs_repr, None, task.result_repr, None


def _searched(task: Task, cells: Cells) -> Searched:
    return (
        clean(task.name, ID_LENGTH),
        cells[_ARGS],
        cells[_ARGS_REPR],
        cells[_ARGS + 1],
        cells[_ARGS_REPR + 1],
        cells[_ARGS + 2],
        cells[_ARGS_REPR + 2],
        cells[_EXCEPTION],
    )


def remove_before(connection: Connection, place: int, limit: int) -> int:
    """Deletes at most `limit` tasks before a place, oldest first; how many there were."""
    if is_postgres(connection):
        return _remove_from_server(connection, place, limit)
    rows = connection.execute(_OLDEST, {"place": place, "most": limit})
    known = [_as_known(row) for row in rows]
    if not known:
        return 0
    changes, states = Changes(), Counter[int]()
    for task in known:
        changes.change(task.seq, task.id, task.searched, None)
        states[task.state] -= 1
    changes.write(connection)
    _count(connection, states)
    for table in (tasks, task_values):
        last = table.c.seq <= known[-1].seq
        connection.execute(delete(table).where(last))
    return len(known)


def _remove_from_server(connection: Connection, place: int, limit: int) -> int:
    """The same where texts are found by their place: nothing of them is read."""
    rows = connection.execute(_TAKE_OLDEST, {"place": place, "most": limit}).all()
    if not rows:
        return 0
    _count(connection, Counter({state: -count for state, count, _, _ in rows}))
    first, last = min(row[2] for row in rows), max(row[3] for row in rows)
    connection.execute(_REMOVE_TEXTS, {"first": first * 2, "last": last * 2 + 1})
    connection.execute(delete(task_values).where(task_values.c.seq.between(first, last)))
    return sum(row[1] for row in rows)


def _count(connection: Connection, states: Counter[int]) -> None:
    _COUNT.run(connection, [(state, change) for state, change in states.items() if change])


def _known(connection: Connection, ids: list[str]) -> dict[str, _Known]:
    return {row[0]: _as_known(row) for row in look_up(connection, _KNOWN, ids)}


def _as_known(row: Sequence[Any]) -> _Known:
    return _Known(row[0], row[1], row[2], tuple(row[3:]))


def _make_room(connection: Connection, new: list[Task]) -> None:
    """Moves new tasks whose place is taken, in the store or among them, to the next free one."""
    if not new:
        return
    for task in new:
        task.seq = within(task.seq)
    # Most are newer than all that is there.
    last = connection.exec_driver_sql(_LAST).scalar() or 0
    inside = [task.seq for task in new if task.seq <= last]
    taken = {row[0] for row in look_up(connection, _TAKEN, inside)}
    for task in new:
        reach = 1
        collided = task.seq in taken
        while collided:
            # Twice as far at each step, as thousands may share one moment of a coarse clock.
            reach = min(max(2, reach * 2), FURTHEST)
            task.seq += randrange(1, reach)  # noqa: S311
            collided = task.seq in taken or any(look_up(connection, _TAKEN, [task.seq]))
        taken.add(task.seq)


def _cells(
    task_id: str, task: Task, numbers: Numbers, outside: list[tuple[int, int, str]]
) -> Cells:
    values: Several = (task.args, task.kwargs, task.result)
    reprs: Several = (task.args_repr, task.kwargs_repr, task.result_repr)
    root_id, parent_id, group_id = task.root_id, task.parent_id, task.group_id
    retry_of, chord_id = task.retry_of, task.chord_id
    links: Several = (root_id, parent_id, group_id, retry_of, chord_id)
    custom_state, message = task.custom_state, task.progress_message
    exception, traceback = task.exception, task.traceback
    words: Several = (custom_state, message, exception, traceback)
    bits = 0
    if not harmless((*values, *reprs, *links, *words)):
        root_id, parent_id, group_id, retry_of, chord_id = [clean(x, ID_LENGTH) for x in links]
        limits = (ID_LENGTH, REPR_LIMIT, TEXT_LIMIT, TEXT_LIMIT)
        custom_state, message, exception, traceback = map(clean, words, limits)
        values, reprs, bits = _fitting(task.seq, values, reprs, outside)
    moments = finite(
        (
            task.eta,
            task.expires,
            task.sent_at,
            task.received_at,
            task.started_at,
            task.finished_at,
            task.runtime,
            task.progress_current,
            task.progress_total,
            task.redelivery_at,
        )
    )
    return (
        task.seq,
        task_id,
        STATE_CODES[task.state],
        numbers[Kind.NAME][task.name],
        numbers[Kind.QUEUE][task.queue],
        numbers[Kind.WORKER][task.worker],
        custom_state,
        None if task.priority is None else small(task.priority),
        small(task.retries) if task.retries else 0,
        *moments[:-1],
        message,
        "" if root_id == task_id else root_id or None,
        parent_id,
        group_id,
        retry_of,
        bits,
        *values,
        *reprs,
        exception,
        traceback,
        steps_text(task.transitions),
        chord_id,
        moments[-1],
    )


def _fitting(
    seq: int, values: Several, reprs: Several, outside: list[tuple[int, int, str]]
) -> tuple[Several, Several, int]:
    """Values and reprs as the row takes them; what is too long for it is added to `outside`."""
    kept = [clean(text, VALUE_LIMIT + 1) for text in values]
    shown = [clean(text, REPR_LIMIT) for text in reprs]
    bits = 0
    for place, value in enumerate(kept):
        if value is None or len(value) <= INLINE:
            continue
        if len(value) > VALUE_LIMIT:
            kept[place], shown[place] = None, shown[place] or value[:HEAD] + "…"
        else:
            outside.append((seq, place, value))
            kept[place] = value[:HEAD]
            bits |= 1 << place
    return tuple(kept), tuple(shown), bits
