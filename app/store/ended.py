"""How many tasks ended in a time, where the figures that charts are drawn from know it exactly."""

import time
from dataclasses import replace

from app.domain.filters import TaskFilter
from app.store import figures
from app.store.database import Database
from app.store.figures import OTHER_LABELS
from app.store.labels import Kind
from app.store.rollup_rows import LEVELS

EVERY = ("*",)
"""What is left out where tasks without a label are asked for."""


def count(db: Database, wanted: TaskFilter) -> int | None:
    """How many tasks match; None where only their rows can tell: for more is asked than when they
    ended, in which states, and of one name, queue or worker, or for a time that does not begin and
    end with steps of which figures are kept."""
    since, until = wanted.ended_since, wanted.ended_until
    bare = TaskFilter(states=wanted.states, ended_since=since, ended_until=until)
    of = _one_label(wanted, bare)
    if since is None or (of is None and wanted != bare):
        return None
    now = time.time()
    fitting = [
        level.step
        for level in LEVELS
        if since % level.step == 0
        and (until is None or until % level.step == 0)
        and since >= now - level.kept
    ]
    if not fitting:
        return None
    end = now + fitting[-1] if until is None else until
    if of is not None and figures.counts(db, since, end, fitting[-1], (of[0], OTHER_LABELS)):
        return None  # some of its tasks may have been counted with the others
    counts = figures.counts(db, since, end, fitting[-1], of)
    return max(0, sum(counts[state] for state in counts if state in (wanted.states or counts)))


def _one_label(wanted: TaskFilter, bare: TaskFilter) -> tuple[Kind, str | None] | None:
    """The kind and the one label that is asked for; None for tasks that have none."""
    for kind, values, same in (
        (Kind.NAME, wanted.names, replace(bare, names=wanted.names)),
        (Kind.QUEUE, wanted.queues, replace(bare, queues=wanted.queues)),
        (Kind.WORKER, wanted.workers, replace(bare, workers=wanted.workers)),
    ):
        if len(values) == 1 and not values[0].endswith("*") and wanted == same:
            return kind, values[0]
    for kind, same in (
        (Kind.NAME, replace(bare, no_names=EVERY)),
        (Kind.QUEUE, replace(bare, no_queues=EVERY)),
        (Kind.WORKER, replace(bare, no_workers=EVERY)),
    ):
        if wanted == same:
            return kind, None
    return None
