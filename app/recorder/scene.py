"""What one look saw, together with what is believed of workers, as the evidence about a task."""

from collections.abc import Iterable, Iterator

from app.broker.evidence import HandedOut, Process, Whereabouts
from app.domain.tasks import RUNNING, Task, TaskState
from app.domain.verdict import GONE, Evidence, Holder, Patience, Read
from app.domain.workers import Worker, WorkerState
from app.recorder.fleet import Fleet
from app.store.blind_windows import BlindWindow

ROUNDED_SECONDS = 0.5
"""A process says since when it runs in whole seconds."""
SPANS_LIMIT = 100
"""Blind windows remembered, to say in which of them an end can have gone unheard."""
FORGETFUL = frozenset({"restarted", "forgotten"})
"""Causes of blind windows after which Redis may have lost what it held."""
SOLO = "solo"
"""A pool that runs tasks in the worker's own loop: it answers nobody and is silent meanwhile."""


class Unheard:
    """The spans in which something can have gone unheard."""

    def __init__(self) -> None:
        self._windows: dict[tuple[float, str, str], BlindWindow] = {}

    def add(self, window: BlindWindow) -> None:
        """Takes in a window that has ended; one that has grown stands for what it was."""
        self._windows[window.began_at, window.cause, window.source] = window
        if len(self._windows) > SPANS_LIMIT:
            del self._windows[next(iter(self._windows))]

    def since(self, moment: float) -> tuple[float, float] | None:
        """From when to when, after that moment; None where all was heard."""
        spans = [(began, ended) for began, ended, _ in self._spans() if ended > moment]
        if not spans:
            return None
        return max(moment, min(span[0] for span in spans)), max(span[1] for span in spans)

    def forgot_since(self, moment: float) -> bool:
        """Redis may have forgotten what it held at that moment."""
        return any(ended > moment for _, ended, cause in self._spans() if cause in FORGETFUL)

    def _spans(self) -> Iterator[tuple[float, float, str]]:
        for window in self._windows.values():
            if window.ended_at is not None:
                yield window.began_at, window.ended_at, window.cause


class Scene:
    """One look: `seen`, and whom to believe to have what was not seen."""

    def __init__(self, seen: Whereabouts, fleet: Fleet, unheard: Unheard, results: bool) -> None:
        self.seen = seen
        self._fleet = fleet
        self._unheard = unheard
        self._results = results
        self._online = [
            worker for worker in fleet.workers.values() if worker.state is WorkerState.ONLINE
        ]
        self._silent: dict[str | None, tuple[str, ...]] = {}
        self._eldest: dict[str | None, float | None] = {}

    def evidence(self, task: Task, now: float, over: bool, absent_since: float | None) -> Evidence:
        """What speaks for and against a task's being anywhere."""
        seen = self.seen
        held, handed = seen.held.get(task.id), seen.handed_out.get(task.id)
        holder, since = self.holder(task)
        moved_at = task.transitions[-1].at if task.transitions else 0.0
        return Evidence(
            now=now,
            over=over,
            held=None if held is None else held.worker,
            running=held is not None and held.running,
            queued=seen.queued.get(task.id),
            redelivery_at=None if handed is None else self.redelivery_at(task, handed),
            holder=holder,
            holder_since=since,
            keepers=handed is not None and self.has_keepers(handed),
            queue=self._read(task.queue),
            unacked=seen.unacked,
            silent=self.silent(task.queue),
            results=self._results,
            absent_since=absent_since,
            unheard=self._unheard.since(moved_at),
            forgot=self._unheard.forgot_since(moved_at),
        )

    def holder(self, task: Task) -> tuple[Holder, float | None]:
        """What has become of the process that was last heard to have it, and since when."""
        if task.worker is None or task.state is TaskState.PENDING:
            return Holder.NOBODY, None
        worker = self._fleet.workers.get(task.worker)
        process = self.seen.processes.get(task.worker)
        if process is not None:
            if _took_before(task, worker, process):
                return Holder.RESTARTED, process.began_at
            return Holder.ALIVE, None
        if worker is None:
            return Holder.NOBODY, None
        if worker.state is WorkerState.ONLINE:
            return Holder.SILENT, None
        if worker.state is WorkerState.LOST and worker.pool != SOLO:
            return Holder.DEAD, worker.heard_at
        return Holder.STOPPED, worker.heard_at

    def silent(self, queue: str | None) -> tuple[str, ...]:
        """Online workers that could have a task of this queue, and did not say what they have."""
        if queue not in self._silent:
            readers = self._readers(queue)
            names = (worker.name for worker in readers if worker.name not in self.seen.processes)
            self._silent[queue] = tuple(sorted(names))
        return self._silent[queue]

    def redelivery_at(self, task: Task | None, handed: HandedOut) -> float | None:
        """When it is handed out again: no guess replaces what was known once."""
        if self.seen.guessed and task is not None and task.redelivery_at is not None:
            return task.redelivery_at
        return handed.redelivery_at

    def has_keepers(self, handed: HandedOut) -> bool:
        """A worker that answered ran already when this was handed out, so it may have got it."""
        queue = handed.found.queue
        if queue not in self._eldest:
            processes = (self.seen.processes.get(worker.name) for worker in self._readers(queue))
            began = [process.began_at or 0.0 for process in processes if process is not None]
            self._eldest[queue] = min(began, default=None)
        eldest = self._eldest[queue]
        return eldest is not None and eldest - ROUNDED_SECONDS <= (handed.delivered_at or 0.0)

    def may_be_kept(self, task: Task | None, handed: HandedOut, patience: Patience) -> bool:
        """Somebody may have this message that is handed out, though nobody says so."""
        if task is not None:
            holder, since = self.holder(task)
            if holder is Holder.STOPPED and since is not None:
                return handed.found.heard_at - since < patience.drain
            if holder in GONE:
                return False
            if holder is not Holder.NOBODY and task.state in (TaskState.RECEIVED, *RUNNING):
                return True
        return bool(self.silent(handed.found.queue)) or self.has_keepers(handed)

    def _readers(self, queue: str | None) -> Iterable[Worker]:
        for worker in self._online:
            if queue is None or worker.queues is None or queue in worker.queues:
                yield worker

    def _read(self, queue: str | None) -> Read:
        if queue is not None:
            return self.seen.read.get(queue, Read.NOTHING)
        return min(self.seen.read.values(), default=Read.NOTHING)


def _took_before(task: Task, worker: Worker | None, process: Process) -> bool:
    """It took the task before this process of its name began."""
    took = max(task.received_at or 0.0, task.started_at or 0.0)
    skew = (worker.skew if worker else None) or 0.0
    began = process.began_at
    return began is not None and 0.0 < took - skew < began - ROUNDED_SECONDS
