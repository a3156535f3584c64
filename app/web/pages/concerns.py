"""What can need attention: workers, queues and tasks that are not as they usually are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import sqrt
from typing import TypeVar
from urllib.parse import urlencode

from app.domain.queues import STALE, Queue
from app.domain.tasks import TaskState
from app.domain.workers import Worker
from app.store.figures import Ended
from app.web.compared import ENOUGH
from app.web.language import gettext as _
from app.web.language import ngettext, text
from app.web.pages.formats import amount, duration, share, short_name
from app.web.pages.render import queue_path, worker_path

FAILING = (TaskState.FAILURE, TaskState.REJECTED)
"""Ends of tasks that fail by themselves; lost ones went with a worker, which is told apart."""
FEW = 3
"""Failures that are a reason to look where nothing is known of what is usual."""
MORE, DEVIATIONS = 1.5, 3.0
"""A task fails more than usual if its share is so many times the usual one, and so many standard
deviations above it: chance alone does that about once in a thousand."""
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
    it began, or will be, and `detail` stands behind it, with `%(time)s` where there is a moment."""

    state: str
    word: str
    words: str
    address: str
    moment: float | None = None
    detail: str = ""
    grade: Grade = Grade.BAD


def of_workers(
    workers: Sequence[Worker], lately: Labelled, now: float, since: float
) -> Iterator[Concern]:
    """Workers that were lost, what went with them, and what was lost otherwise in the last hour,
    which is `lately`, from `since` on. `workers` are the lost ones."""
    counts = {name: ended.counts.get(TaskState.LOST, 0) for name, ended in lately.items()}
    gone = [worker for worker in workers if now - worker.since < LOST_WORTH]
    gone.sort(key=lambda worker: (-counts.get(worker.name, 0), worker.name))
    named, others = _some(gone)
    for worker in named:
        took = counts.pop(worker.name, 0)
        words, address = _went(worker, took), worker_path(worker.name)
        detail = text("last heard of %(time)s")
        yield Concern("LOST", _("Worker lost"), words, address, worker.heard_at, detail)
    if others:
        took = sum(counts.pop(worker.name, 0) for worker in others)
        yield Concern("LOST", _("Worker lost"), _others_went(len(others), took), "/ui/workers")
    if (rest := sum(counts.values())) > 0:
        words = ngettext(
            "%(count)s task was lost in the last hour",
            "%(count)s tasks were lost in the last hour",
            rest,
            count=amount(rest),
        )
        address = address_of(state="LOST", ended=ended_in(since))
        yield Concern("LOST", _("Lost"), words, address, detail=_("the list says why"))


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
    words = text("%(count)s more queues have no worker")
    yield from _bounded([_unread(queue) for queue in unread], words, QUEUES)
    words = text("%(count)s more queues age")
    yield from _bounded([_aged(*each) for each in aged], words, QUEUES)
    words = text("%(count)s more queues are partly with dead workers")
    yield from _bounded([_held(queue) for queue in held], words, QUEUES)
    stale = [queue for queue in listed if now - queue.measured_at >= STALE]
    if stale:
        words = ngettext(
            "How much waits in %(count)s queue is unknown",
            "How much waits in %(count)s queues is unknown",
            len(stale),
            count=amount(len(stale)),
        )
        at, detail = max(queue.measured_at for queue in stale), text("measured last %(time)s")
        yield Concern("PENDING", _("Unknown"), words, QUEUES, at, detail, Grade.UNKNOWN)


def of_failures(lately: Labelled, usually: Labelled, since: float) -> Iterator[Concern]:
    """Tasks that fail more than they usually do, those with the most failures first; and how many
    failed as usual. `lately` is what ended from `since` on."""
    failing = sorted(
        ((name, ended) for name, ended in lately.items() if is_unusual(ended, usually.get(name))),
        key=lambda each: (-failed_of(each[1]), each[0] or ""),
    )
    sentences = [_failing(name, ended, usually.get(name), since) for name, ended in failing]
    address = address_of(state="FAILURE,REJECTED", ended=ended_in(since))
    yield from _bounded(sentences, text("%(count)s more tasks fail more than usual"), address)
    rest = sum(map(failed_of, lately.values())) - sum(failed_of(ended) for _, ended in failing)
    if rest > 0:
        words = ngettext(
            "%(count)s task failed in the last 15 minutes",
            "%(count)s tasks failed in the last 15 minutes",
            rest,
            count=amount(rest),
        )
        detail = _("of other names, no more than usual") if failing else _("no more than usual")
        yield Concern("FAILURE", _("Failed"), words, address, detail=detail, grade=Grade.NOTE)


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
    return "/ui/tasks?" + urlencode(pairs, safe=",:")


def ended_in(since: float, until: float | None = None) -> str:
    """A time in which tasks ended, as an address has it: in whole seconds, as figures do."""
    first, last = (
        "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for at in (since, until)
    )
    return f"{first}..{last}" if last else first


def _failing(name: str | None, ended: Ended, before: Ended | None, since: float) -> Concern:
    failed = failed_of(ended)
    values = {
        "failed": amount(failed),
        "ended": amount(ended.count),
        "share": share(failed, ended.count),
    }
    if name is None:
        words = _(
            "Tasks of no known name fail: "
            "%(failed)s of %(ended)s in the last 15 minutes, %(share)s",
            **values,
        )
    else:
        words = _(
            "%(name)s fails: %(failed)s of %(ended)s in the last 15 minutes, %(share)s",
            name=short_name(name),
            **values,
        )
    named = {} if name is None else {"name": name}
    address = address_of(state="FAILURE,REJECTED", **named, ended=ended_in(since))
    usual = _("too few ended before to say what is usual")
    if before is not None and before.count >= ENOUGH:
        usual = _("usually %(share)s", share=share(failed_of(before), before.count))
    return Concern("FAILURE", _("Failing"), words, address, detail=usual)


def _went(worker: Worker, took: int) -> str:
    if took <= 0:
        return _("Worker %(worker)s is lost", worker=worker.name)
    return ngettext(
        "Worker %(worker)s is lost, and %(count)s task with it in the last hour",
        "Worker %(worker)s is lost, and %(count)s tasks with it in the last hour",
        took,
        worker=worker.name,
        count=amount(took),
    )


def _others_went(others: int, took: int) -> str:
    if took <= 0:
        return _("%(number)s more workers are lost", number=others)
    return ngettext(
        "%(number)s more workers are lost, and %(count)s task with them in the last hour",
        "%(number)s more workers are lost, and %(count)s tasks with them in the last hour",
        took,
        number=others,
        count=amount(took),
    )


def _unread(queue: Queue) -> Concern:
    words = _(
        "No worker reads queue %(queue)s: %(count)s waiting",
        queue=queue.name,
        count=amount(queue.waiting),
    )
    at = queue.oldest_sent_at
    detail = "" if at is None else text("the oldest sent %(time)s")
    return Concern("REJECTED", _("No worker"), words, queue_path(queue.name), at, detail)


def _aged(queue: Queue, usual: float | None) -> Concern:
    values = {"queue": queue.name, "count": amount(queue.waiting)}
    if usual is None:
        words = _(
            "Queue %(queue)s ages: %(count)s waiting, p95 usual waits are not known yet", **values
        )
    else:
        words = _(
            "Queue %(queue)s ages: %(count)s waiting, p95 usually %(usual)s",
            usual=duration(usual),
            **values,
        )
    at, detail = queue.oldest_sent_at, text("the oldest sent %(time)s")
    return Concern("RETRY", _("Ageing"), words, queue_path(queue.name), at, detail)


def _held(queue: Queue) -> Concern:
    held = queue.orphans or 0
    words = ngettext(
        "%(count)s message of queue %(queue)s went with workers that are gone",
        "%(count)s messages of queue %(queue)s went with workers that are gone",
        held,
        count=amount(held),
        queue=queue.name,
    )
    at = queue.redelivery_at
    detail = "" if at is None else text("handed out again %(time)s")
    return Concern("LOST", _("Held"), words, queue_path(queue.name), at, detail)


def _usual_wait(ended: Ended | None) -> float | None:
    if ended is None or ended.wait.count < ENOUGH:
        return None
    return ended.wait.quantiles(0.95)[0]


def _bounded(concerns: list[Concern], words: str, address: str) -> Iterator[Concern]:
    """The first of them; `words` tell of the others, which are `%(count)s`."""
    named, others = _some(concerns)
    yield from named
    if others:
        said = words % {"count": len(others)}
        yield Concern(others[0].state, others[0].word, said, address)


def _some(found: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Those that have a sentence each, and the rest, which is never a single one."""
    many = SAME if len(found) <= SAME else SAME - 1
    return found[:many], found[many:]
