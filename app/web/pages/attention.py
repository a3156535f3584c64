"""What needs attention, before all else on the first page: each in one sentence, with the list
that proves it. What nobody can tell is said to be unknown, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.web.compared import Lately, Usually
from app.web.health import Health, Part
from app.web.pages.concerns import Concern, Grade, of_failures, of_queues, of_workers
from app.web.pages.formats import amount
from app.web.pages.shell import Whole, is_away
from app.web.quality import Known


@dataclass(frozen=True, slots=True)
class Attention:
    """All of it, the worst first. `calm` says how things are where nothing needs anybody."""

    concerns: tuple[Concern, ...]
    calm: str

    @property
    def pressing(self) -> int:
        """How many of them are more than worth knowing; 0: it is calm."""
        return sum(concern.grade is not Grade.NOTE for concern in self.concerns)


def attention_of(
    whole: Whole,
    known: Known,
    compared: tuple[Lately, Usually],
    health: Health,
    now: float,
) -> Attention:
    """What needs attention, of what was read."""
    lately, usually = compared
    away = away_of(health)
    found = [*_of_away(away), *_of_windows(known)]
    found += of_workers(whole.lost, lately.workers, now)
    if away is None:  # else nobody knows how they are now, which is said already
        found += _of_fleet(whole)
        found += of_queues(whole.queues, usually.queues, now)
    found += of_failures(lately.names, usually.names)
    found += [
        Concern("PENDING", "Note", each[0].upper() + each[1:], "/ui/data-quality", grade=Grade.NOTE)
        for each in health.warnings
    ]
    order = list(Grade)
    found.sort(key=lambda concern: order.index(concern.grade))
    return Attention(tuple(found), _calm(whole))


def away_of(health: Health) -> Part | None:
    """What keeps everything from being heard now; None: nothing does."""
    return next((part for part in (health.recorder, health.broker) if is_away(part)), None)


def _of_away(away: Part | None) -> Iterator[Concern]:
    if away is not None:
        words, detail = "What happens now is unknown", "nothing is heard since"
        at, grade = away.since, Grade.UNKNOWN
        yield Concern("PENDING", "Unknown", words, "/ui/data-quality", at, detail, grade)


def _of_windows(known: Known) -> Iterator[Concern]:
    if not known.unhealed:
        return
    begun = [window.began_at for window in known.windows if window.healed_at is None]
    times = "for a time" if known.unhealed == 1 else f"{known.unhealed:,} times"
    words = f"Nobody listened {times}: what happened then is not known yet"
    address, at, grade = "/ui/data-quality#windows", max(begun, default=None), Grade.UNKNOWN
    detail = "" if at is None else "it began" if known.unhealed == 1 else "the last began"
    yield Concern("PENDING", "Unknown", words, address, at, detail, grade)


def _of_fleet(whole: Whole) -> Iterator[Concern]:
    if whole.workers and not whole.online:
        words = "No worker is online: what is sent waits until one comes"
        yield Concern("REJECTED", "No worker", words, "/ui/workers")


def _calm(whole: Whole) -> str:
    workers = "1 worker is" if whole.online == 1 else f"{whole.online:,} workers are"
    waiting = f"{amount(whole.waiting)} waiting" if whole.waiting else "nothing waits"
    return f"{workers} online, {amount(whole.running)} running, {waiting}."
