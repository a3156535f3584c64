"""What ended, on the first page: charts of the time that somebody chose, and who it was."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from app.domain.errors import BadInput, FieldError
from app.store.figures import FAILED, OTHER_LABELS, Ended
from app.store.labels import Kind
from app.web.figures import BY, RANGES, USUAL_RANGE, Charted, Range
from app.web.health import Health
from app.web.language import gettext as _
from app.web.language import marked, text
from app.web.pages.attention import away_of
from app.web.pages.chart import LINES, OUTCOMES, QUANTILES, Chart, Step, count_of, draw
from app.web.pages.concerns import address_of, ended_in
from app.web.pages.formats import duration, share
from app.web.pages.proof import NOTHING, Pairs, Proof
from app.web.pages.render import queue_path, worker_path

LONGEST_TABLE = 12
"""Names, queues or workers shown, the first by the order chosen, unless all are asked for."""
KEYS = {"succeeded": "SUCCESS", "revoked": "REVOKED", "failed": "FAILURE", "lost": "LOST"}
"""The state that lends each outcome its colour."""
ENDED_PER = {60: marked("Ended per minute"), 3_600: marked("Ended per hour")}
"""Steps that have a word, in seconds."""
WORDS = {
    "succeeded": marked("succeeded"),
    "revoked": marked("revoked"),
    "failed": marked("failed"),
    "lost": marked("lost"),
}
"""What legends call the outcomes."""


def _of(seconds: float | None) -> float:
    return -1.0 if seconds is None else seconds


ORDERS: dict[str, Callable[[Ended], float]] = {
    "ended": lambda ended: ended.count,
    "failed": lambda ended: ended.failed,
    "rate": lambda ended: _of(ended.failure_rate),
    "wait": lambda ended: _of(ended.wait.quantiles(0.95)[0]),
    "run": lambda ended: _of(ended.run.quantiles(0.95)[0]),
}
"""What the table can be sorted by, the greatest first."""
USUAL_ORDER = "ended"
ALL_ROWS = "all"
_CHOICES = {
    "range": tuple(RANGES),
    "by": tuple(BY),
    "sort": tuple(ORDERS),
    "rows": (ALL_ROWS,),
}


class Choice(NamedTuple):
    """A time, a kind of label, an order of these, and which: all or the first, as an address has
    it."""

    range: Range = USUAL_RANGE
    by: str = "name"
    sort: str = USUAL_ORDER
    rows: str = ""

    @property
    def query(self) -> str:
        """`range=24h&by=queue`; "" for the usual choice."""
        return "" if self == Choice() else self._query()

    def address(self, **other: str) -> str:
        """The page with another choice."""
        return "/?" + self._query(**other)

    def ranged(self, key: str) -> str:
        """The page with another time."""
        return self.address(range=key)

    def _query(self, **other: str) -> str:
        usual = {"sort": USUAL_ORDER, "rows": ""}
        pairs = {"range": self.range.key, "by": self.by, "sort": self.sort, "rows": self.rows}
        given = {**pairs, **other}.items()
        return urlencode([(key, value) for key, value in given if value != usual.get(key)])


class Key(NamedTuple):
    """One entry of a legend: the class that colours it, its word, its value in all of the time, the
    list that proves it, and which cell of a step it is (see `Step.cells`)."""

    name: str
    word: str
    value: str
    address: str
    cell: int


class Titled(NamedTuple):
    """A plot with what stands above it. `query` is added to a list of tasks that it opens."""

    title: str
    query: str
    keys: tuple[Key, ...]

    @property
    def values(self) -> str:
        """All of the legend, to be read aloud."""
        return ", ".join(f"{key.word} {key.value}" for key in self.keys)


@dataclass(frozen=True, slots=True)
class Row:
    """One name, queue or worker: what ended, and how long it ran and waited at p95. `address` is
    its own page or list; None: it has none. `of` picks its tasks; None: nothing can."""

    of: Pairs | None
    word: str
    address: str | None
    ended: Ended
    run: float | None
    wait: float | None


@dataclass(frozen=True, slots=True)
class EndedPart:
    """All that this part of the page shows. `more` labels have no row."""

    choice: Choice
    proof: Proof
    chart: Chart
    titles: dict[str, Titled]
    total: Row
    rows: tuple[Row, ...]
    more: int

    def bar(self, step: Step) -> str:
        """The list of the tasks that ended in a step."""
        return list_of(self.choice, step, **(self.total.of or {}))


def list_of(choice: Choice, step: Step, **pairs: str) -> str:
    """The list of the tasks that ended in a step."""
    return address_of(**pairs, ended=ended_in(step.at, step.at + choice.range.step))


def choice_of(pairs: Iterable[tuple[str, str]]) -> Choice:
    """What an address chooses. Raises BadInput."""
    values = {key: value for key, value in pairs if key in _CHOICES and value != ""}
    for key, value in values.items():
        if value not in _CHOICES[key]:
            words = f"{value[:100]!r} is not one of {', '.join(_CHOICES[key])}"
            raise BadInput("There are no such figures.", (FieldError(("query", key), words),))
    wanted = RANGES[values["range"]] if "range" in values else USUAL_RANGE
    sort, rows = values.get("sort", USUAL_ORDER), values.get("rows", "")
    return Choice(wanted, values.get("by", "name"), sort, rows)


def part_of(charted: Charted, choice: Choice, health: Health) -> EndedPart:
    """What is shown of figures that were read."""
    found = charted.found
    order = ORDERS[choice.sort]
    labels = sorted(found.labels, key=lambda each: -order(each[1]))
    total = found.total
    most = len(labels) if choice.rows == ALL_ROWS else LONGEST_TABLE
    chart = chart_of(charted, health)
    proof = Proof(chart.span.first)
    return EndedPart(
        choice=choice,
        proof=proof,
        chart=chart,
        titles=_titles(total, choice, proof),
        total=_row(NOTHING, _("All"), None, total),
        rows=tuple(_labelled(choice, proof, *each) for each in labels[:most]),
        more=max(0, len(labels) - most),
    )


def part_of_one(charted: Charted, choice: Choice, label: str, health: Health) -> EndedPart:
    """What is shown of the figures of one name, queue or worker."""
    of = {choice.by: label}
    total, chart = charted.found.total, chart_of(charted, health)
    proof = Proof(chart.span.first)
    titles = {
        key: titled._replace(query=f"{urlencode(of)}&{titled.query}".rstrip("&"))
        for key, titled in _titles(total, choice, proof, of).items()
    }
    row = _labelled(choice, proof, label, total)
    return EndedPart(choice, proof, chart, titles, row, (), 0)


def chart_of(charted: Charted, health: Health) -> Chart:
    """The charts of figures that were read."""
    away, status = away_of(health), health.status
    heard_since = None if status is None or not status.live else status.started_at
    return draw(charted, heard_since, None if away is None else away.since)


def _titles(total: Ended, choice: Choice, proof: Proof, of: Pairs = NOTHING) -> dict[str, Titled]:
    failed = ",".join(state.value for state in FAILED)
    outcomes = []
    for cell, (word, states) in enumerate(OUTCOMES, 1):
        address = proof.tasks(of, state=",".join(states))
        outcomes.append(
            Key(
                f"state-{KEYS[word]}",
                text(WORDS[word]),
                f"{count_of(total, states):,}",
                address,
                cell,
            )
        )
    cell = len(OUTCOMES) + 1
    rate = Key(
        "state-FAILURE",
        text(WORDS["failed"]),
        share(total.failed, total.count),
        proof.tasks(of, state=failed),
        cell,
    )
    times = []
    for sketch, slow in ((total.wait, None), (total.run, proof.slow)):
        cells = range(cell + 1, cell + 1 + len(LINES))
        cell += len(LINES)
        quantiles = sketch.quantiles(*QUANTILES)
        times.append(
            tuple(
                Key(
                    f"line {word}",
                    word,
                    duration(seconds),
                    proof.tasks(of) if slow is None or seconds is None else slow(seconds, of),
                    each,
                )
                for word, seconds, each in zip(LINES, quantiles, cells, strict=True)
            )
        )
    step = choice.range.step
    per = text(ENDED_PER[step]) if step in ENDED_PER else ""
    per = per or _("Ended per %(duration)s", duration=duration(step))
    return {
        "count": Titled(per, "", tuple(outcomes)),
        "rate": Titled(_("Failed of those"), urlencode({"state": failed}), (rate,)),
        "wait": Titled(_("Waited for a worker"), "", times[0]),
        "run": Titled(_("Ran"), urlencode({"sort": "-runtime"}), times[1]),
    }


def _labelled(choice: Choice, proof: Proof, label: str | None, ended: Ended) -> Row:
    if label is None:
        return _row({"q": f"-{choice.by}:*"}, _("not known"), None, ended)
    if label == OTHER_LABELS:
        return _row(None, _("others"), None, ended)
    of = {choice.by: label}
    kind = BY[choice.by]
    if kind is Kind.NAME:
        return _row(of, label, proof.tasks(of), ended)
    return _row(of, label, queue_path(label) if kind is Kind.QUEUE else worker_path(label), ended)


def _row(of: Pairs | None, word: str, address: str | None, ended: Ended) -> Row:
    [run], [wait] = ended.run.quantiles(0.95), ended.wait.quantiles(0.95)
    return Row(of, word, address, ended, run, wait)
