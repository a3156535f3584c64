"""How many tasks ended in a time, as the figures know that charts are drawn from."""

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


def count(db: Database, wanted: TaskFilter) -> tuple[int, bool] | None:
    """How many tasks match, and whether exactly so: for a time that begins and ends with steps of
    which figures are kept, else for the steps that it touches. None where only rows can tell: more
    is asked than when tasks ended, in which states, and of one name, queue or worker."""
    since, until = wanted.ended_since, wanted.ended_until
    bare = TaskFilter(states=wanted.states, ended_since=since, ended_until=until)
    of = _one_label(wanted, bare)
    if since is None or (of is None and wanted != bare):
        return None
    now = time.time()
    kept = [level.step for level in LEVELS if since >= now - level.kept] or [LEVELS[-1].step]
    bounds = (since, since if until is None else until)
    whole = [step for step in kept if not any(bound % step for bound in bounds)]
    step = whole[-1] if whole else kept[0]
    end = now + step if until is None else until
    # Some of a label's tasks may have been counted with the others'.
    mixed = of is not None and figures.counts(db, since, end, step, (of[0], OTHER_LABELS))
    counts = figures.counts(db, since, end, step, of)
    many = sum(counts[state] for state in counts if state in (wanted.states or counts))
    return many, bool(whole) and not mixed


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
