"""What can need attention: workers, queues and tasks that are not as they usually are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import TypeVar
from urllib.parse import urlencode

from app.domain.queues import Queue
from app.domain.tasks import TaskState
from app.domain.workers import Worker
from app.store.figures import Ended
from app.web.pages.formats import amount, duration, share, short_name
from app.web.pages.queues import STALE
from app.web.pages.render import queue_path, worker_path

FAILING = (TaskState.FAILURE, TaskState.REJECTED)
"""Ends of tasks that fail by themselves; lost ones went with a worker, which is told apart."""
FEW = 3
"""Failures that are a reason to look where nothing is known of what is usual."""
MORE, DEVIATIONS = 1.5, 3.0
"""A task fails more than usual if its share is so many times the usual one, and so many standard
deviations above it: chance alone does that about once in a thousand."""
ENOUGH = 20
"""Tasks that have to have ended before their figures say what is usual."""
AGED = 300.0
"""Seconds that a message may wait where nothing is known of what is usual."""
AGEING, SHORTEST_AGE = 5.0, 60.0
"""Elsewhere it may wait so many times what 95 % of the tasks waited, and so many seconds."""
LOST_WORTH = 86_400.0
"""Seconds for which a lost worker needs attention; then it is one that will not come back."""
QUEUES = "/ui/queues"
SAME = 3
"""Sentences of one kind at the most: what there is more of is told in the last of them."""

Labelled = Mapping[str | None, Ended]
T = TypeVar("T")


class Grade(StrEnum):
    """Whether it needs somebody, can't be told, or is only worth knowing; the worst first."""

    BAD = "bad"
    UNKNOWN = "unknown"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Concern:
    """One sentence. `state` and `word` mark it, `words` are linked to `address`; `moment` is when
    it began, or will be, and `detail` stands behind it."""

    state: str
    word: str
    words: str
    address: str
    moment: float | None = None
    detail: str = ""
    grade: Grade = Grade.BAD


def of_workers(workers: Sequence[Worker], lately: Labelled, now: float) -> Iterator[Concern]:
    """Workers that were lost, what went with them, and what was lost otherwise in the last hour.
    `workers` are the lost ones."""
    counts = {name: ended.counts.get(TaskState.LOST, 0) for name, ended in lately.items()}
    gone = [worker for worker in workers if now - worker.since < LOST_WORTH]
    gone.sort(key=lambda worker: (-counts.get(worker.name, 0), worker.name))
    named, others = _some(gone)
    for worker in named:
        took = counts.pop(worker.name, 0)
        went = f", and {_many(took, 'task')} with it in the last hour" if took > 0 else ""
        words, address = f"Worker {worker.name} is lost{went}", worker_path(worker.name)
        yield Concern("LOST", "Worker lost", words, address, worker.heard_at, "last heard of")
    if others:
        took = sum(counts.pop(worker.name, 0) for worker in others)
        went = f", and {_many(took, 'task')} with them in the last hour" if took > 0 else ""
        words = f"{len(others)} more workers are lost{went}"
        yield Concern("LOST", "Worker lost", words, "/ui/workers")
    if (rest := sum(counts.values())) > 0:
        words = f"{_many(rest, 'task was', 'tasks were')} lost in the last hour"
        address = address_of(state="LOST", since="1h")
        yield Concern("LOST", "Lost", words, address, detail="the list says why")


def of_queues(queues: Iterable[Queue], usually: Labelled, now: float) -> Iterator[Concern]:
    """Queues that nobody reads, whose messages wait for longer than usual, or are held by workers
    that are gone; and those that are not measured any more."""
    listed = sorted(queues, key=lambda queue: (-queue.waiting, queue.name))
    fresh = [queue for queue in listed if now - queue.measured_at < STALE]
    unread = [queue for queue in fresh if queue.waiting and not queue.consumers]
    held = [queue for queue in fresh if queue.orphans]
    read = [queue for queue in fresh if queue.waiting and queue.consumers]
    found = [(queue, _usual_wait(usually.get(queue.name))) for queue in read]
    aged = [each for each in found if is_aged(each[0], each[1], now)]
    yield from _bounded([_unread(queue) for queue in unread], "queues have no worker", QUEUES)
    yield from _bounded([_aged(*each) for each in aged], "queues age", QUEUES)
    words = "queues are partly with dead workers"
    yield from _bounded([_held(queue) for queue in held], words, QUEUES)
    stale = [queue for queue in listed if now - queue.measured_at >= STALE]
    if stale:
        words = f"How much waits in {_many(len(stale), 'queue')} is unknown"
        at = max(queue.measured_at for queue in stale)
        grade = Grade.UNKNOWN
        yield Concern("PENDING", "Unknown", words, QUEUES, at, "measured last", grade)


def of_failures(lately: Labelled, usually: Labelled) -> Iterator[Concern]:
    """Tasks that fail more than they usually do, those with the most failures first; and how many
    failed as usual."""
    failing = sorted(
        ((name, ended) for name, ended in lately.items() if is_unusual(ended, usually.get(name))),
        key=lambda each: (-failed_of(each[1]), each[0] or ""),
    )
    sentences = [_failing(name, ended, usually.get(name)) for name, ended in failing]
    address = address_of(state="FAILURE,REJECTED", since="15m")
    yield from _bounded(sentences, "tasks fail more than usual", address)
    rest = sum(map(failed_of, lately.values())) - sum(failed_of(ended) for _, ended in failing)
    if rest > 0:
        words = f"{_many(rest, 'task')} failed in the last 15 minutes"
        detail = "no more than usual" if not failing else "of other names, no more than usual"
        yield Concern("FAILURE", "Failed", words, address, detail=detail, grade=Grade.NOTE)


def failed_of(ended: Ended) -> int:
    """How many failed by themselves."""
    return max(0, sum(ended.counts.get(state, 0) for state in FAILING))


def is_unusual(ended: Ended, before: Ended | None) -> bool:
    """Whether so many failed that neither chance nor habit explains it."""
    failed = failed_of(ended)
    if failed < FEW:
        return False
    if before is None or before.count < ENOUGH:
        return True
    part = min(1.0, failed_of(before) / before.count)
    expected = ended.count * part
    return failed >= MORE * expected and failed > expected + DEVIATIONS * sqrt(
        expected * (1 - part)
    )


def is_aged(queue: Queue, usual: float | None, now: float) -> bool:
    """Whether its oldest message waits for longer than messages usually do; `usual` is the p95."""
    if queue.oldest_sent_at is None:
        return False
    most = AGED if usual is None else max(SHORTEST_AGE, AGEING * usual)
    return now - queue.oldest_sent_at > most


def address_of(**pairs: str) -> str:
    """The list of the tasks that are told of."""
    return "/ui/tasks?" + urlencode(pairs, safe=",")


def _failing(name: str | None, ended: Ended, before: Ended | None) -> Concern:
    failed = failed_of(ended)
    who = "Tasks of no known name fail" if name is None else f"{short_name(name)} fails"
    words = f"{who}: {failed:,} of {ended.count:,} in the last 15 minutes"
    words += f", {share(failed, ended.count)}"
    named = {} if name is None else {"name": name}
    address = address_of(state="FAILURE,REJECTED", **named, since="15m")
    usual = "too few ended before to say what is usual"
    if before is not None and before.count >= ENOUGH:
        usual = f"usually {share(failed_of(before), before.count)}"
    return Concern("FAILURE", "Failing", words, address, detail=usual)


def _unread(queue: Queue) -> Concern:
    words = f"No worker reads queue {queue.name}: {amount(queue.waiting)} waiting"
    at = queue.oldest_sent_at
    return Concern(
        "REJECTED", "No worker", words, queue_path(queue.name), at, "the oldest sent" if at else ""
    )


def _aged(queue: Queue, usual: float | None) -> Concern:
    said = "usual waits are not known yet" if usual is None else f"usually {duration(usual)}"
    words = f"Queue {queue.name} ages: {amount(queue.waiting)} waiting, p95 {said}"
    at = queue.oldest_sent_at
    return Concern("RETRY", "Ageing", words, queue_path(queue.name), at, "the oldest sent")


def _held(queue: Queue) -> Concern:
    held = _many(queue.orphans or 0, "message")
    words = f"{held} of queue {queue.name} went with workers that are gone"
    at = queue.redelivery_at
    detail = "" if at is None else "handed out again"
    return Concern("LOST", "Held", words, queue_path(queue.name), at, detail)


def _usual_wait(ended: Ended | None) -> float | None:
    if ended is None or ended.wait.count < ENOUGH:
        return None
    return ended.wait.quantiles(0.95)[0]


def _bounded(concerns: list[Concern], words: str, address: str) -> Iterator[Concern]:
    named, others = _some(concerns)
    yield from named
    if others:
        yield Concern(others[0].state, others[0].word, f"{len(others)} more {words}", address)


def _some(found: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Those that have a sentence each, and the rest, which is never a single one."""
    many = SAME if len(found) <= SAME else SAME - 1
    return found[:many], found[many:]


def _many(count: int, one: str, many: str = "") -> str:
    """`1 task`, `1,234 tasks`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
