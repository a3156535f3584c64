"""Links from a task to what else is known of it elsewhere: logs, traces, errors.

A template is an address with fields in braces. What a task says stands percent-encoded in it and
never before the path, so that no task can choose where a click leads.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from app.domain.tasks import Task

LINKS_LIMIT = 12
"""Links of one task: more is a menu, and belongs to where they lead."""
NAME_LIMIT = 40
"""Characters of a link's name, which stands on a button."""
SCHEMES = ("http", "https")
"""All others run something, or read files, where a person only wanted to look."""
STEP = 3_600
"""Seconds. A task that has not ended is looked for until the end of this hour of the clock: a time
that stays the same for a while, and lies ahead."""
LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999, to which a clock is held that is centuries off."""

_FIELD = re.compile(r"\{([A-Za-z_]+)\}")


class Known(NamedTuple):
    """What the fields of a template are read from: a task, and the time that it took."""

    task: Task
    sent: float
    started: float
    ended: float


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _millis(at: float) -> str:
    return str(int(at * 1000))


FIELDS: dict[str, Callable[[Known], object]] = {
    "task_id": lambda known: known.task.id,
    "name": lambda known: known.task.name,
    "state": lambda known: known.task.state,
    "queue": lambda known: known.task.queue,
    "worker": lambda known: known.task.worker,
    "attempt": lambda known: known.task.retries + 1,
    "root_id": lambda known: known.task.root_id or known.task.id,
    "parent_id": lambda known: known.task.parent_id,
    "group_id": lambda known: known.task.group_id,
    "sent": lambda known: _moment(known.sent),
    "started": lambda known: _moment(known.started),
    "ended": lambda known: _moment(known.ended),
    "sent_ms": lambda known: _millis(known.sent),
    "started_ms": lambda known: _millis(known.started),
    "ended_ms": lambda known: _millis(known.ended),
}
"""By the word in braces; what is not known of a task is the empty text."""


@dataclass(frozen=True, slots=True)
class LinkTemplate:
    """A name for people, and an address with fields."""

    name: str
    address: str

    def fill(self, known: Known) -> str:
        """The address for one task."""
        return _FIELD.sub(lambda found: _quoted(FIELDS[found[1]](known)), self.address)


@dataclass(frozen=True, slots=True)
class Links:
    """All templates in order, and the text that they were read from."""

    text: str = ""
    templates: tuple[LinkTemplate, ...] = ()

    def __str__(self) -> str:
        return self.text

    def of(self, task: Task, now: float | None = None) -> list[tuple[str, str]]:
        """Name and address of each link of a task, as things are at a moment."""
        if not self.templates:
            return []
        known = _known(task, time.time() if now is None else now)
        return [(template.name, template.fill(known)) for template in self.templates]


def read_links(text: str) -> Links:
    """The templates of `Name=https://…;Name=…`. Raises ValueError where one is not allowed."""
    parts = [part for part in text.split(";") if part.strip()]
    templates = tuple(map(_template, parts))
    if len(templates) > LINKS_LIMIT or len({each.name for each in templates}) < len(templates):
        raise ValueError
    return Links(text, templates)


def _template(part: str) -> LinkTemplate:
    name, given, address = (each.strip() for each in part.partition("="))
    if not name or not given or len(name) > NAME_LIMIT or not name.isprintable():
        raise ValueError
    if not address.isprintable() or any(each in address for each in ' "<>\\`'):
        raise ValueError
    pieces = urlsplit(address)
    host_end = address.index("//") + 2 + len(pieces.netloc) if pieces.netloc else 0
    if pieces.scheme not in SCHEMES or not pieces.hostname or _FIELD.search(address[:host_end]):
        raise ValueError
    if any(word not in FIELDS for word in _FIELD.findall(address)):
        raise ValueError
    return LinkTemplate(name, address)


def _known(task: Task, now: float) -> Known:
    seen = task.seen_at or now
    sent = _first(task.sent_at, task.received_at, task.started_at, seen)
    started = _first(task.started_at, task.received_at, task.sent_at, seen)
    ended = _first(task.finished_at if task.state.ended else None, (now // STEP + 1) * STEP)
    return Known(task, sent, started, max(started, ended))


def _first(*moments: float | None) -> float:
    """The first that is known, within what a calendar has."""
    known = (each for each in moments if each is not None and isfinite(each))
    return max(0.0, min(next(known, 0.0), LAST_MOMENT))


def _quoted(value: object) -> str:
    return "" if value is None else quote(str(value), safe="", errors="replace")
