"""What needs attention, before all else on the first page: each in one sentence, with the list
that proves it. What nobody can tell is said to be unknown, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from app.domain.tasks import RUNNING, TaskState
from app.web.compared import Lately, Usually
from app.web.health import Health, Part
from app.web.language import gettext as _
from app.web.language import ngettext, text
from app.web.pages.concerns import (
    Concern,
    Grade,
    address_of,
    of_failures,
    of_queues,
    of_workers,
)
from app.web.pages.formats import amount, capital
from app.web.pages.shell import Whole, is_away
from app.web.quality import Known
from app.web.sentences import sentence


@dataclass(frozen=True, slots=True)
class Attention:
    """All of it, the worst first. `calm` says how things are where nothing needs anybody."""

    concerns: tuple[Concern, ...]
    calm: Markup

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
    found += of_workers(whole.lost, lately.workers, now, lately.hour)
    if away is None:  # else nobody knows how they are now, which is said already
        found += _of_fleet(whole)
        found += of_queues(whole.queues, usually.queues, now)
    found += of_failures(lately.names, usually.names, lately.since)
    found += [
        Concern("PENDING", _("Note"), capital(sentence(each)), "/ui/data-quality", grade=Grade.NOTE)
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
        words, detail = _("What happens now is unknown"), text("nothing is heard since %(time)s")
        at, grade = away.since, Grade.UNKNOWN
        yield Concern("PENDING", _("Unknown"), words, "/ui/data-quality", at, detail, grade)


def _of_windows(known: Known) -> Iterator[Concern]:
    if not known.unhealed:
        return
    begun = [window.began_at for window in known.windows if window.healed_at is None]
    words = ngettext(
        "Nobody listened for a time: what happened then is not known yet",
        "Nobody listened %(times)s times: what happened then is not known yet",
        known.unhealed,
        times=amount(known.unhealed),
    )
    address, at, grade = "/ui/data-quality#windows", max(begun, default=None), Grade.UNKNOWN
    detail = ""
    if at is not None:
        alone = known.unhealed == 1
        detail = text("it began %(time)s") if alone else text("the last began %(time)s")
    yield Concern("PENDING", _("Unknown"), words, address, at, detail, grade)


def _of_fleet(whole: Whole) -> Iterator[Concern]:
    if whole.workers and not whole.online:
        words = _("No worker is online: what is sent waits until one comes")
        yield Concern("REJECTED", _("No worker"), words, "/ui/workers")


def _linked(number: int, address: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, amount(number))


def _calm(whole: Whole) -> Markup:
    """How things are, each number with the list that proves it."""
    return Markup(_said_calmly(whole))  # noqa: S704 - our words around links of ours


def _said_calmly(whole: Whole) -> str:
    running = address_of(state=",".join(state.value for state in TaskState if state in RUNNING))
    values = {
        "online": _linked(whole.online, "/ui/workers"),
        "running": _linked(whole.running, running),
    }
    if not whole.waiting:
        return ngettext(
            "%(online)s worker is online, %(running)s running, nothing waits.",
            "%(online)s workers are online, %(running)s running, nothing waits.",
            whole.online,
            **values,
        )
    return ngettext(
        "%(online)s worker is online, %(running)s running, %(waiting)s waiting.",
        "%(online)s workers are online, %(running)s running, %(waiting)s waiting.",
        whole.online,
        waiting=_linked(whole.waiting, "/ui/queues"),
        **values,
    )
