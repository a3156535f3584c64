"""Step 3: events change what is believed; the newest of it is kept in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import randrange

import structlog

from app.domain.events import TaskEvent, TaskLost
from app.domain.reduce import begin, reduce
from app.domain.tasks import Task
from app.store.rollups import Tally, TallyKey, minute_of

RECENT_LIMIT = 25_000
"""Tasks in memory, about 2 KiB each; an event about another one costs a look into the store. Most
tasks end seconds after they are sent, and a longer queue is looked up 400 tasks at once."""
LONG = 4 * 1024
"""Characters of values and traceback from which on a task is counted by itself."""
LONG_LIMIT = 32 * 1024 * 1024
"""Characters of all such tasks in memory: values can be a million characters long each."""
FORGOTTEN_SHARE = 50
"""This part of the limit is forgotten at once, when it is reached."""
FURTHEST = 1 << 10
"""How far a task moves at most at a step when its place is taken: a microsecond."""

log = structlog.get_logger()

_End = tuple[TallyKey, float | None, float | None, bool]


@dataclass(slots=True)
class Believed:
    """The tasks that events have changed, and by how much that changes the figures.

    `new` are the ids of those that nothing was known of, in memory or in the store. `refused`
    counts events that no rule was made for: one of them must not stop the others.
    """

    tasks: list[Task] = field(default_factory=list)
    new: set[str] = field(default_factory=set)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)
    refused: int = 0


class Beliefs:
    """The tasks most recently heard of. Open ones stay longest: more will be heard of them."""

    def __init__(self, limit: int = RECENT_LIMIT) -> None:
        self._limit = limit
        self._open: dict[str, Task] = {}
        self._ended: dict[str, Task] = {}
        self._places: set[int] = set()
        self._long: dict[str, int] = {}
        self._long_total = 0

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def find(self, task_id: str) -> Task | None:
        """The task, if it is in memory."""
        return self._open.get(task_id) or self._ended.get(task_id)

    def missing(self, events: Iterable[TaskEvent]) -> list[str]:
        """Ids that events tell of and that only the store may know, in their order."""
        known, ended = self._open, self._ended
        ids = dict.fromkeys(event.task_id for event in events)
        return [task_id for task_id in ids if task_id not in known and task_id not in ended]

    def load(self, tasks: Mapping[str, Task]) -> None:
        """Takes in what the store knows."""
        for task in tasks.values():
            self._put_last(task)

    def believe(self, events: Sequence[TaskEvent]) -> Believed:
        """Lets the events change the tasks. Those of `missing` must have been loaded."""
        known, ended = self._open, self._ended
        changed: dict[str, Task] = {}
        ends: dict[str, _End | None] = {}  # of those that had ended before
        new: set[str] = set()
        refused = 0
        for event in events:
            task_id = event.task_id
            task = known.get(task_id)
            try:
                if task is None and (task := ended.get(task_id)) is None:
                    if type(event) is TaskLost:
                        continue  # forgotten meanwhile: there is nothing left to give up
                    known[task_id] = changed[task_id] = self._begin(event)
                    new.add(task_id)
                    continue
                if task_id in ended and task_id not in ends:
                    ends[task_id] = _end_of(task)
                if reduce(task, event):
                    changed[task_id] = task
            except Exception:
                log.exception("an event could not be believed", kind=type(event).__name__)
                refused += 1
        for task in changed.values():
            self._put_last(task)
        self._forget_oldest()
        tallies: dict[TallyKey, Tally] = {}
        for task in changed.values():
            before, after = ends.get(task.id), _end_of(task)
            if before != after:
                _count(tallies, before, after)
        return Believed(list(changed.values()), new, tallies, refused)

    def _begin(self, event: TaskEvent) -> Task:
        """Two tasks of one microsecond need different places in the list."""
        task = begin(event)
        reach = 1
        while task.seq in self._places:
            # Ever further, as thousands may share one moment of a coarse clock.
            reach = min(reach * 2, FURTHEST)
            task.seq += randrange(1, reach + 1)  # noqa: S311
        self._places.add(task.seq)
        return task

    def _put_last(self, task: Task) -> None:
        """Puts it behind all others of its kind: they are forgotten in that order."""
        self._open.pop(task.id, None)
        self._ended.pop(task.id, None)
        (self._ended if task.state.ended else self._open)[task.id] = task
        self._places.add(task.seq)
        if task.args or task.kwargs or task.result or task.traceback or task.id in self._long:
            self._weigh(task)

    def _weigh(self, task: Task) -> None:
        """Counts a task with long values, the last one last."""
        self._long_total -= self._long.pop(task.id, 0)
        texts = (task.args, task.kwargs, task.result, task.traceback)
        if (length := sum([len(text) for text in texts if text])) > LONG:
            self._long[task.id] = length
            self._long_total += length

    def _forget(self, task: Task) -> None:
        self._open.pop(task.id, None)
        self._ended.pop(task.id, None)
        self._places.discard(task.seq)
        self._long_total -= self._long.pop(task.id, 0)

    def _forget_oldest(self) -> None:
        """Many at once: to find the oldest, a dict is walked past all that was taken before."""
        while self._long_total > LONG_LIMIT and (task := self.find(next(iter(self._long)))):
            self._forget(task)
        many = len(self) - self._limit
        if many <= 0:
            return
        many += self._limit // FORGOTTEN_SHARE
        for kind in (self._ended, self._open):
            for task in list(islice(kind.values(), many)):
                self._forget(task)
                many -= 1


def _end_of(task: Task) -> _End | None:
    """How an ended task stands in the figures."""
    if task.finished_at is None or not task.state.ended:
        return None
    minute = minute_of(task.finished_at)
    key = TallyKey(minute, task.name, task.state, task.queue, task.worker)
    return key, task.runtime, task.wait, task.whole


def _count(tallies: dict[TallyKey, Tally], before: _End | None, after: _End | None) -> None:
    """A task that ends otherwise than was believed is taken back where it was counted."""
    if before is not None:
        key, runtime, wait, whole = before
        _tally(tallies, key).take_back(runtime, wait, whole)
    if after is not None:
        key, runtime, wait, whole = after
        _tally(tallies, key).add(runtime, wait, whole)


def _tally(tallies: dict[TallyKey, Tally], key: TallyKey) -> Tally:
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = Tally()
    return tally
