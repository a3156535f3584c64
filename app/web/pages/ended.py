"""What ended, on the first page: a chart of the time that somebody chose, and who it was."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from app.domain.errors import BadInput, FieldError
from app.store.figures import OTHER_LABELS, Ended
from app.store.labels import Kind
from app.web.figures import BY, RANGES, USUAL_RANGE, Found, Range
from app.web.pages.chart import Chart, draw
from app.web.pages.render import queue_path, worker_path

LONGEST_TABLE = 12
"""Names, queues or workers shown, the busiest first; `GET /stats?by=` tells all."""
_CHOICES = {"range": tuple(RANGES), "by": tuple(BY)}
_QUANTILES = (0.5, 0.95, 0.99)


class Choice(NamedTuple):
    """A time and a kind of label, as the address says it."""

    range: Range = USUAL_RANGE
    by: str = "name"

    @property
    def query(self) -> str:
        """`range=24h&by=queue`; "" for the usual choice."""
        if self == Choice():
            return ""
        return urlencode({"range": self.range.key, "by": self.by})

    def address(self, **other: str) -> str:
        """The page with another choice."""
        return "/?" + urlencode({"range": self.range.key, "by": self.by, **other})


@dataclass(frozen=True, slots=True)
class Row:
    """One name, queue or worker: what ended, the share of it that failed, how long it ran and
    waited at three quantiles."""

    label: str
    address: str | None
    ended: Ended
    run: tuple[float | None, ...]
    wait: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class EndedPart:
    """All that this part of the page shows. `more` labels have no row."""

    choice: Choice
    ranges: tuple[Range, ...]
    kinds: tuple[str, ...]
    chart: Chart
    total: Row
    rows: tuple[Row, ...]
    more: int


def choice_of(pairs: Iterable[tuple[str, str]]) -> Choice:
    """What an address chooses. Raises BadInput."""
    values = {key: value for key, value in pairs if key in _CHOICES and value != ""}
    for key, value in values.items():
        if value not in _CHOICES[key]:
            words = f"{value[:100]!r} is not one of {', '.join(_CHOICES[key])}"
            raise BadInput("There are no such figures.", (FieldError(("query", key), words),))
    wanted = RANGES[values["range"]] if "range" in values else USUAL_RANGE
    return Choice(wanted, values.get("by", "name"))


def part_of(found: Found, choice: Choice) -> EndedPart:
    """What is shown of figures that were read."""
    shown = found.labels[:LONGEST_TABLE]
    return EndedPart(
        choice=choice,
        ranges=tuple(RANGES.values()),
        kinds=tuple(BY),
        chart=draw(found),
        total=_row("All", None, found.total),
        rows=tuple(_labelled(choice, label, ended) for label, ended in shown),
        more=len(found.labels) - len(shown),
    )


def _labelled(choice: Choice, label: str | None, ended: Ended) -> Row:
    if label is None:
        return _row("not known", None, ended)
    if label == OTHER_LABELS:
        return _row("others", None, ended)
    kind = BY[choice.by]
    if kind is Kind.NAME:
        since = choice.range.key
        address = "/ui/tasks?" + urlencode({"name": label, "since": since})
    else:
        address = queue_path(label) if kind is Kind.QUEUE else worker_path(label)
    return _row(label, address, ended)


def _row(label: str, address: str | None, ended: Ended) -> Row:
    run, wait = ended.run.quantiles(*_QUANTILES), ended.wait.quantiles(*_QUANTILES)
    return Row(label, address, ended, tuple(run), tuple(wait))
