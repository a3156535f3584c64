"""Tasks that ran so long, in order of time: where few did, the index of runtimes knows them."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, select, union_all

from app.store.arguments import compared_rows
from app.store.schema import tasks
from app.store.selects import SUMMARIES
from app.store.ways import Bounds, Narrowed, Way, by_state, few

SORTED = 100_000
"""Entries of the index that are sorted by time at once, in some 50 ms; where more ran so long,
they stand close to each other in order of time."""
SECONDS = 0.06
"""For finding out how many they are."""
ROWS_SORTED = 4_000
"""The same of rows whose texts are compared."""


def few_ran(
    connection: Connection, narrowed: Narrowed, bounds: Bounds, limit: int
) -> Select[Any] | None:
    """The next tasks in order of time, where few ran as long as is asked for; else None."""
    if not narrowed.ran:
        return None
    way, ran = along(narrowed), replace(bounds, by_runtime=True)
    most = ROWS_SORTED if narrowed.texts else SORTED
    if not few(connection, way.entries, ran, most, SECONDS):
        return None
    places = _in_time(way, ran)
    order = bounds.order((tasks.c.seq,))
    if narrowed.texts:
        found = connection.execute(places).all()
        given = narrowed.texts
        query = compared_rows(connection, narrowed.arguments, SUMMARIES, found, given)
        return query.order_by(*order).limit(limit)
    seqs = places.subquery()
    first = select(seqs.c.seq).order_by(*bounds.order((seqs.c.seq,))).limit(limit).subquery()
    return SUMMARIES.where(tasks.c.seq.in_(select(first.c.seq))).order_by(*order)


def along(narrowed: Narrowed) -> Way:
    """The way along runtimes; only texts are left to be compared in the rows."""
    return by_state(narrowed.codes, narrowed.labelled, ())


def _in_time(way: Way, ran: Bounds) -> Select[Any]:
    given = (*way.within, *ran.conditions())
    parts = [select(tasks.c.seq).where(*branch, *given) for branch in way.branches]
    return select(union_all(*parts).subquery().c.seq)
