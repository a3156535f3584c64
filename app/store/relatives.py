"""Tasks that belong to one task: who sent it, what it sent, its group, and its like in time.

Each reading goes along an index, or looks at a bounded number of rows beside the task.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, select, union_all

from app.domain.tasks import Task, TaskState
from app.store.database import Database
from app.store.schema import STATES, tasks
from app.store.selects import SUMMARIES, read_summaries

SHOWN = 12
"""Tasks of one kind in a list; a task that sends thousands has its own search for that."""
SIBLINGS = 3
"""Tasks of the same name before it, and after it."""
NEARBY = 500
"""Tasks looked at before and after one for others of its group, in some milliseconds: a group is
sent at once, and there is no index of groups."""
COUNTED = 1_000
"""Members of a group that are counted by state."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of tasks as far as it is found: how many in each state, and the first of them.

    `whole`: it was sent by a task, whose children are all known; else members may be farther away.
    """

    id: str
    states: Mapping[TaskState, int]
    members: tuple[Task, ...]
    whole: bool

    @property
    def count(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Relatives:
    """Summaries, each list in order of time. `named` are the tasks that its own fields name."""

    named: Mapping[str, Task]
    children: tuple[Task, ...] = ()
    retries: tuple[Task, ...] = ()
    before: tuple[Task, ...] = ()
    after: tuple[Task, ...] = ()
    group: Group | None = None

    @property
    def ids(self) -> frozenset[str]:
        """All tasks that are in it."""
        group = self.group.members if self.group is not None else ()
        lists = (self.children, self.retries, self.before, self.after, group)
        return frozenset(self.named) | {task.id for each in lists for task in each}


NONE = Relatives({})


def relatives_of(db: Database, task: Task) -> Relatives:
    """Reads them all. Of a task that the store does not know yet, what can be known."""
    with db.reading() as connection:
        own = {task.parent_id, task.root_id, task.retry_of, task.chord_id} - {None, task.id}
        known = _read(connection, tasks.c.id.in_(sorted(filter(None, own)))) if own else []
        named = {each.id: each for each in known}
        return Relatives(
            named=named,
            children=tuple(_read(connection, tasks.c.parent_id == task.id, tasks.c.id != task.id)),
            retries=tuple(_read(connection, tasks.c.retry_of == task.id)),
            before=tuple(_alike(connection, task, earlier=True)[::-1]),
            after=tuple(_alike(connection, task, earlier=False)),
            group=_group(connection, task, named.get(task.parent_id or "")),
        )


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> list[Task]:
    query = SUMMARIES.where(*conditions).order_by(tasks.c.seq).limit(SHOWN + 1)
    return read_summaries(connection, query)


def _alike(connection: Connection, task: Task, *, earlier: bool) -> list[Task]:
    """The next tasks of the same name, the nearest first."""
    if task.name is None:
        return []
    place, own = tasks.c.seq, tasks.alias("own")
    number = select(own.c.name_id).where(own.c.seq == task.seq).scalar_subquery()
    beyond = place < task.seq if earlier else place > task.seq
    query = SUMMARIES.where(tasks.c.name_id == number, beyond)
    order = place.desc() if earlier else place
    return read_summaries(connection, query.order_by(order).limit(SIBLINGS))


def _group(connection: Connection, task: Task, parent: Task | None) -> Group | None:
    """The group of the task, or of those whose end it is (a chord's last task)."""
    member = task
    if parent is not None and parent.chord_id == task.id:
        member = parent
    if member.group_id is None:
        return None
    places = _members(member)
    found = connection.execute(places.limit(COUNTED)).all()
    states = Counter(STATES[row.state] for row in found)
    first = [row.seq for row in found[: SHOWN + 1]]
    members = _read(connection, tasks.c.seq.in_(first)) if first else []
    return Group(member.group_id, states, tuple(members), member.parent_id is not None)


def _members(member: Task) -> Select[tuple[int, int]]:
    place = tasks.c.seq
    columns = (place, tasks.c.state, tasks.c.group_id)
    if member.parent_id is not None:
        within: Select[tuple[int, int, str | None]] = select(*columns).where(
            tasks.c.parent_id == member.parent_id
        )
        near = within.subquery()
    else:
        before = select(*columns).where(place <= member.seq).order_by(place.desc()).limit(NEARBY)
        after = select(*columns).where(place > member.seq).order_by(place).limit(NEARBY)
        both = (before.subquery(), after.subquery())
        near = union_all(*(select(*each.c) for each in both)).subquery()
    query = select(near.c.seq, near.c.state).where(near.c.group_id == member.group_id)
    return query.order_by(near.c.seq)
