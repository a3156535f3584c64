"""What every page has around it: figures beside the sections, and what is away right now."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from app.domain.errors import StoreUnavailable
from app.domain.queues import Queue
from app.domain.tasks import RUNNING, TaskState
from app.domain.workers import Worker, WorkerState
from app.store import queues, rollups, workers
from app.store.database import Database
from app.web.health import Part
from app.web.language import gettext as _
from app.web.language import language
from app.web.pages.render import Fragments, Templates
from app.web.state import Umbel

SECOND = 1.0
"""Seconds between two readings of what all pages share."""


PATIENCE = 1.5
"""Seconds that a part may be away before pages say so: it was asked once, and asked again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is needed is away: what that means, since when, and why."""

    title: str
    detail: str
    part: Part


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole of it at a moment: how many tasks in each state, and every worker and queue."""

    counts: Mapping[TaskState, int]
    workers: tuple[Worker, ...]
    queues: tuple[Queue, ...]

    @property
    def running(self) -> int:
        return sum(self.counts.get(state, 0) for state in RUNNING)

    @property
    def waiting(self) -> int:
        return sum(queue.waiting for queue in self.queues)

    @property
    def online(self) -> int:
        return sum(worker.state is WorkerState.ONLINE for worker in self.workers)

    @property
    def lost(self) -> tuple[Worker, ...]:
        return tuple(worker for worker in self.workers if worker.state is WorkerState.LOST)


class Shell:
    """Reads the whole at most once a second, for all pages and viewers together. `pressing` tells
    how many things need attention, as far as that is known."""

    def __init__(self, umbel: Umbel, render: Templates) -> None:
        self._umbel = umbel
        self._render = render
        self._lock = asyncio.Lock()
        self._read_at = -SECOND
        self._whole: Whole | None = None
        self._error: StoreUnavailable | None = None
        self._told: tuple[bool, ...] = ()
        self._fragments: dict[str, Fragments] = {}
        self._readers: list[Callable[[], None]] = []
        self.pressing: Callable[[], int] = lambda: 0

    @property
    def fragments(self) -> Fragments:
        """What stands around pages in the reader's language; rendered for the first who asks after
        each reading."""
        found = self._fragments.get(language())
        if found is None:
            found = self._fragments[language()] = self._rendered()
        return found

    @property
    def latest(self) -> Whole | None:
        """The whole as it was read last; another one each time."""
        return self._whole

    async def whole(self) -> Whole:
        """The whole, not older than a second. Raises StoreUnavailable."""
        await self.refresh()
        return self.known()

    def known(self) -> Whole:
        """The whole as it was read last, for who does not wait. Raises StoreUnavailable."""
        if self._error is not None or self._whole is None:
            raise StoreUnavailable(str(self._error or "The store has not been read yet."))
        return self._whole

    async def refresh(self) -> None:
        """Reads and renders anew where that is due, and at once what is away; never raises for
        it."""
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return
            try:
                if reason := self.away():
                    raise StoreUnavailable(reason)
                self._whole = await self._umbel.reading(_read, self._umbel.db)
                self._error = None
            except StoreUnavailable as error:
                self._error = error
            self._read_at, self._told = time.monotonic(), self._parts_away()
            self._fragments = {}
            for told in self._readers:
                told()

    def on_read(self, told: Callable[[], None]) -> None:
        """Has somebody told whenever the whole was read, or could not be."""
        self._readers.append(told)

    def forget(self) -> None:
        """Has what stands around pages rendered anew: something that it shows has changed."""
        self._fragments = {}

    def _is_fresh(self) -> bool:
        return self._told == self._parts_away() and time.monotonic() - self._read_at < SECOND

    def _parts_away(self) -> tuple[bool, ...]:
        health = self._umbel.health
        return tuple(map(is_away, (health.store, health.broker, health.recorder)))

    def away(self) -> str:
        """Why the store can't be read, once that is known; "" while it can."""
        store = self._umbel.health.store
        return store.reason if is_away(store) else ""

    def as_of(self, at: float | None) -> Markup:
        """What a page says that is not as things are now but as they were; nothing for None."""
        return self._render("shell/_as-of.html", at=at)

    def troubles(self) -> list[Trouble]:
        """What is away now, the cause before its consequences."""
        health, found = self._umbel.health, []
        if is_away(health.store):
            title, detail = _("The store does not answer."), _("No history.")
            found.append(Trouble(title, detail, health.store))
        if is_away(health.broker):
            detail = _("Tasks can't be sent, and what you see may be out of date.")
            found.append(Trouble(_("Redis does not answer."), detail, health.broker))
        elif is_away(health.recorder):
            detail = _("Nothing new is heard, so what you see may be out of date.")
            found.append(Trouble(_("The recorder is away."), detail, health.recorder))
        return found

    def _rendered(self) -> Fragments:
        troubles = self.troubles()
        context = {"whole": self._whole, "troubles": troubles, "pressing": self.pressing()}
        names = ("troubles", "alarm", "badge-tasks", "badge-workers", "badge-queues")
        return {name: self._render(f"shell/_{name}.html", **context) for name in names}


def is_away(part: Part) -> bool:
    """Whether it has been away for long enough that pages say so."""
    return not part.ok and time.time() - part.since > PATIENCE


def _read(db: Database) -> Whole:
    return Whole(rollups.counts(db), tuple(workers.list_all(db)), tuple(queues.list_all(db)))
