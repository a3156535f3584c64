"""How many tasks' stories are known from beginning to end: read from the figures, not the tasks."""

from math import inf
from typing import NamedTuple

from app.domain.tasks import TaskState
from app.store import figures
from app.store.database import Database
from app.store.rollups import MINUTE


class Stories(NamedTuple):
    """Tasks that ended from `since` on: how many, of how many the story is known from beginning
    to end, and how many ended because they were lost."""

    since: float
    ended: int
    whole: int
    lost: int

    @property
    def share(self) -> float | None:
        """Of 1; None where nothing has ended, which is neither good nor bad."""
        return self.whole / self.ended if self.ended else None


def count(db: Database, since: float, step: int = MINUTE) -> Stories:
    """The stories that ended since then, from the beginning of that minute on, or of that step of
    so many seconds: the longer, the fewer rows are read."""
    ended = figures.total(db, since, inf, step)
    first = since // step * step
    return Stories(first, ended.count, ended.whole, ended.counts.get(TaskState.LOST, 0))
