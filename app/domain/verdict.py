"""What is to be believed of a task that was looked for: found, orphaned, lost, or not to be told.

The rule alone, from evidence that others gather (`app.broker.evidence`, `app.recorder.reconcile`).
A task is given up only where every place that could hold it was read and does not, or where the
process that ran it is gone. Where a place was not read, the verdict says that it can't be told,
and why. Whatever is heard later corrects it (rule 5 of `app.domain.reduce`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple

from app.domain.moves import is_over
from app.domain.tasks import RUNNING, Task, TaskState

NAME_SHOWN = 60
"""Characters of a worker's or queue's name in a sentence, which has 200 in all."""

RECEIVED, STARTED = TaskState.RECEIVED, TaskState.STARTED


class Holder(StrEnum):
    """What has become of the process that was last heard to have the task.

    `SILENT`: online, but it did not answer when asked what it has. `STOPPED`: it said goodbye,
    and may still be finishing what it runs. `RESTARTED`: another process has its name now.
    """

    NOBODY = "nobody"
    ALIVE = "alive"
    SILENT = "silent"
    STOPPED = "stopped"
    DEAD = "dead"
    RESTARTED = "restarted"


GONE = frozenset({Holder.STOPPED, Holder.DEAD, Holder.RESTARTED})


class Read(IntEnum):
    """How much of a queue was read: nothing, the end that runs next, all of it."""

    NOTHING = 0
    NEXT = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a look around saw of one task. Times are seconds since the epoch by our clock.

    Seen: `over` the result backend has its end; `held` by a worker that says so, `running` or
    not; `queued` in a list; `redelivery_at`: handed out and not acknowledged, so that it is
    handed out again then. `holder` is the fate of the worker last heard to have it, since
    `holder_since`; `keepers` says that a worker that lives could keep it unsaid (for a task's
    rate limit Celery keeps messages that it does not report).

    Read: `queue` so far was its queue read (of several, the least), `unacked` all that is handed
    out, `silent` are online workers that did not answer, `results` says that there is a backend
    to read. `absent_since` is when it was first missed, as it is now; `unheard` the span in which
    its end can have gone unheard; `forgot`: Redis began anew since, and may have forgotten it.
    """

    now: float
    over: bool = False
    held: str | None = None
    running: bool = False
    queued: str | None = None
    redelivery_at: float | None = None
    holder: Holder = Holder.NOBODY
    holder_since: float | None = None
    keepers: bool = False
    queue: Read = Read.WHOLE
    unacked: bool = True
    silent: tuple[str, ...] = ()
    results: bool = True
    absent_since: float | None = None
    unheard: tuple[float, float] | None = None
    forgot: bool = False


class Patience(NamedTuple):
    """Seconds: `grace` between two looks that both miss a task before it is given up; `drain`
    in which a worker that said goodbye may still end what it runs."""

    grace: float = 5.0
    drain: float = 600.0


class Kind(StrEnum):
    """`ABSENT` is seen nowhere for the first time: look again. `RETURNED`: its message is in its
    queue again, though a worker was believed to have it."""

    LEAVE = "leave"
    FOUND = "found"
    ORPHANED = "orphaned"
    RETURNED = "returned"
    ABSENT = "absent"
    LOST = "lost"
    UNJUDGED = "unjudged"


class Verdict(NamedTuple):
    """What to believe. `reason` is a sentence for people, of at most 200 characters; `soon` says
    that it can be told as soon as a worker answers, or is known to be gone."""

    kind: Kind
    reason: str = ""
    redelivery_at: float | None = None
    soon: bool = False


LEAVE = Verdict(Kind.LEAVE)
FOUND = Verdict(Kind.FOUND)


def judge(task: Task, seen: Evidence, patience: Patience) -> Verdict:
    """The verdict on a task as it is believed now."""
    if is_over(task) or seen.over:
        return LEAVE
    if seen.held is not None:
        return FOUND if _news(task, seen) else LEAVE
    if seen.queued is not None:
        return _queued(task, seen, patience)
    if seen.redelivery_at is not None:
        return _handed_out(task, seen, patience)
    if task.state is TaskState.LOST:
        return LEAVE
    if _died_running(task, seen):
        return _give_up(task, seen, patience)
    return _doubt(task, seen, patience) or _give_up(task, seen, patience)


def _news(task: Task, seen: Evidence) -> bool:
    """A worker says that it has it, and that is more than was believed."""
    if task.redelivery_at is not None or task.state not in (RECEIVED, *RUNNING):
        return True
    return seen.running and task.state is RECEIVED


def _queued(task: Task, seen: Evidence, patience: Patience) -> Verdict:
    if task.state is TaskState.LOST:
        return FOUND
    if not _is_out(task) and task.redelivery_at is None:
        return LEAVE
    if seen.holder is Holder.SILENT:
        # It may be running: after the visibility timeout its message is handed out once more.
        return _unanswered(task.worker)
    # Its worker may have taken it since the queue was read, were this the first look.
    if seen.absent_since is None or seen.now - seen.absent_since < patience.grace:
        return Verdict(Kind.ABSENT)
    if task.redelivery_at is not None:
        return Verdict(Kind.RETURNED, "Whoever had it is gone, and it is in its queue again.")
    return Verdict(Kind.RETURNED, f"{_its_worker(task)} gave it back to its queue.")


def _handed_out(task: Task, seen: Evidence, patience: Patience) -> Verdict:
    """In `unacked`, and nobody says that he has it."""
    out = _is_out(task)
    if out and seen.holder is Holder.ALIVE:
        return LEAVE
    if out and seen.holder is Holder.SILENT:
        return _unanswered(task.worker)
    if out and _may_be_finishing(seen, patience):
        return _unjudged(_finishing(task))
    known = out or task.state is TaskState.LOST
    if not (known and seen.holder in GONE):
        if seen.silent:
            return _unanswered(seen.silent[0])
        if seen.keepers:
            return _unjudged("A worker may keep it, unsaid, for its rate limit.")
    if task.redelivery_at == seen.redelivery_at:
        return LEAVE
    if not _missed_twice(seen, patience):
        return Verdict(Kind.ABSENT)
    if task.state in RUNNING:
        return Verdict(Kind.LOST, _end_of_run(task, seen), seen.redelivery_at)
    return Verdict(Kind.ORPHANED, redelivery_at=seen.redelivery_at)


def _died_running(task: Task, seen: Evidence) -> bool:
    """The process that ran it is gone: wherever else its message is, this run is over."""
    return task.state in RUNNING and seen.holder in (Holder.DEAD, Holder.RESTARTED)


def _doubt(task: Task, seen: Evidence, patience: Patience) -> Verdict | None:
    """Why it can't be told whether anybody has it; None where it can."""
    out = _is_out(task)
    if out and seen.holder is Holder.SILENT:
        return _unanswered(task.worker)
    if out and _may_be_finishing(seen, patience):
        return _unjudged(_finishing(task))
    if seen.silent and not (out and seen.holder is not Holder.NOBODY):
        return _unanswered(seen.silent[0])
    if task.state is TaskState.PENDING and task.queue is None:
        return _unjudged("Nobody said which queue it was sent to.")
    # What a worker gives back lies at the end that runs next; what was sent lies anywhere.
    if seen.queue < (Read.NEXT if out else Read.WHOLE):
        which = f"Its queue {_short(task.queue)}" if task.queue else "A queue"
        return _unjudged(f"{which} holds more messages than are read.")
    if not seen.unacked:
        return _unjudged("More messages are handed out than are read.")
    return None


def _give_up(task: Task, seen: Evidence, patience: Patience) -> Verdict:
    if not _missed_twice(seen, patience):
        return Verdict(Kind.ABSENT)
    return Verdict(Kind.LOST, _why(task, seen))


def _missed_twice(seen: Evidence, patience: Patience) -> bool:
    """Looked for before and missed; a worker that died was itself silent for as long."""
    since = [seen.absent_since]
    if seen.holder in (Holder.DEAD, Holder.RESTARTED):
        since.append(seen.holder_since)
    return any(at is not None and seen.now - at >= patience.grace for at in since)


def _may_be_finishing(seen: Evidence, patience: Patience) -> bool:
    if seen.holder is not Holder.STOPPED:
        return False
    return seen.holder_since is None or seen.now - seen.holder_since < patience.drain


def _is_out(task: Task) -> bool:
    """A worker took it from its queue, as far as we heard."""
    return task.state is RECEIVED or task.state in RUNNING


def _why(task: Task, seen: Evidence) -> str:
    if _is_out(task) and seen.holder in GONE:
        return _end_of_run(task, seen)
    if task.state is TaskState.RETRY and seen.holder in GONE:
        return f"{_its_worker(task)} shut down and let go of it, and nobody has it any more."
    if seen.forgot:
        return "Redis began anew without its message: no worker has it and no queue holds it."
    nowhere = "No worker has it, no queue holds it and no result is stored"
    if not seen.results:
        nowhere = "No worker has it and no queue holds it, and no results can be read"
    if seen.unheard is None:
        return f"{nowhere}; it ended without a word, or its message is gone."
    began, ended = (datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S") for at in seen.unheard)
    return f"{nowhere}; it may have ended unheard between {began} and {ended} UTC."


def _end_of_run(task: Task, seen: Evidence) -> str:
    gone = {Holder.DEAD: "died", Holder.RESTARTED: "was restarted"}.get(seen.holder, "shut down")
    if task.state in RUNNING:
        return f"{_its_worker(task)} {gone} while it ran."
    return f"{_its_worker(task)} {gone} before it ran, and nobody has it any more."


def _its_worker(task: Task) -> str:
    return f"Its worker {_short(task.worker)}" if task.worker else "Its worker"


def _finishing(task: Task) -> str:
    return f"{_its_worker(task)} is leaving, and may still be finishing it."


def _unjudged(reason: str) -> Verdict:
    return Verdict(Kind.UNJUDGED, reason)


def _unanswered(worker: str | None) -> Verdict:
    who = f"Worker {_short(worker)}" if worker else "A worker"
    return Verdict(Kind.UNJUDGED, f"{who} does not answer.", soon=True)


def _short(name: str | None) -> str:
    name = name or ""
    return name if len(name) <= NAME_SHOWN else name[: NAME_SHOWN - 1] + "…"
