"""How many tasks' stories are known from beginning to end: read from the minutes, not the tasks."""

from typing import NamedTuple

from sqlalchemy import case, func, select

from app.domain.tasks import TaskState
from app.store.database import Database
from app.store.rollups import minute_of
from app.store.schema import STATE_CODES, rollups


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


def count(db: Database, since: float) -> Stories:
    """The stories that ended since then, from the beginning of that minute on."""
    first = minute_of(since)
    is_lost = rollups.c.state == STATE_CODES[TaskState.LOST]
    lost = case((is_lost, rollups.c.count), else_=0)
    sums = [func.sum(counted) for counted in (rollups.c.count, rollups.c.whole, lost)]
    query = select(*(func.coalesce(each, 0) for each in sums)).where(rollups.c.minute >= first)
    with db.reading() as connection:
        ended, whole, given_up = connection.execute(query).one()
    return Stories(first, int(ended), int(whole), int(given_up))
