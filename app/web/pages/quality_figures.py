"""How well Umbel hears, as figures that say what they mean and what to do about them.

What is not known is unknown since a moment, and never 0: a recorder that is away has not heard
nothing, it has not said what it heard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.feed.status import RecorderStatus
from app.store.stories import Stories
from app.web.health import Health, Part
from app.web.language import gettext as _
from app.web.pages.formats import amount, duration, percents
from app.web.quality import Known
from app.web.sentences import sentence

LAG_BAD = 5.0
"""Seconds; below it nobody who looks at a page notices."""
BACKLOG_BAD = 50_000
"""Messages: a quarter of what the recorder holds before it has to drop some."""
WHOLE_BAD = 0.95
"""Of 1: below it, one ended task in twenty is not known from beginning to end."""
CHECK_BAD = 900.0
"""Seconds since all open tasks were checked against broker and workers: three checks missed."""
PARTS = 8
"""Reasons listed below a figure, the most frequent first."""


class Grade(StrEnum):
    """How a figure stands: it needs somebody, it is worth knowing, or it is in order."""

    BAD = "bad"
    NOTE = "note"
    GOOD = "good"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, told apart by its `key`. `value` is words; `at` a moment shown behind it
    (unknown: since when), or `since` how long it has been so; `parts` what it is made of.
    `meaning` is one sentence, `advice` what to do when it is bad."""

    key: str
    name: str
    value: str = ""
    meaning: str
    advice: str
    grade: Grade = Grade.GOOD
    at: float | None = None
    since: float | None = None
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Figures about one thing."""

    key: str
    title: str
    figures: tuple[Figure, ...]


def hearing(health: Health, status: RecorderStatus | None) -> Section:
    """Whether and how fast it hears."""
    part = health.recorder
    live = _Asked(
        "hearing",
        _("Hearing"),
        _("Whether what workers say is heard, kept and announced."),
        _("Start `umbel serve` or `umbel record`; its log says what it can't reach."),
    )
    return Section(
        "hearing", _("Hearing"), (live.part(part, _("yes"), _("no")), *_flow(part, status))
    )


def _flow(part: Part, status: RecorderStatus | None) -> tuple[Figure, ...]:
    rate = _Asked(
        "events",
        _("Events"),
        _("Celery events heard in a second, the mean of the last ten."),
        _("Workers that send none are not seen working: start them with -E."),
    )
    lag = _Asked(
        "lag",
        _("Lag"),
        _("How long the newest kept event had waited before it was kept."),
        _(
            "The store or this machine is too slow for what happens: give it more, "
            "or use PostgreSQL."
        ),
    )
    backlog = _Asked(
        "backlog",
        _("Backlog"),
        _("Messages that were heard and are not kept yet."),
        _(
            "If it grows, events come faster than they can be kept; "
            "at 200,000 the oldest are dropped."
        ),
    )
    if status is None:
        return rate.unknown(part), lag.unknown(part), backlog.unknown(part)
    rate_now = f"{status.events_per_second:,.1f}"
    return (
        rate.of(
            _("%(count)s / s", count=rate_now),
            total=_("%(count)s since start", count=amount(status.events)),
        ),
        lag.of(duration(status.lag) if status.lag else _("none"), bad=status.lag > LAG_BAD),
        backlog.of(amount(status.backlog), bad=status.backlog > BACKLOG_BAD),
    )


def dropping(health: Health, status: RecorderStatus | None) -> Section:
    """What was said and not taken in."""
    part = health.recorder
    ours = _Asked(
        "dropped-here",
        _("Dropped here"),
        _("Messages let go because they came faster than they could be kept."),
        _("Each time is a blind window below, and is made good; a faster store prevents the next."),
    )
    theirs = _Asked(
        "dropped-by-workers",
        _("Dropped by workers"),
        _("Events that workers could not write down: Redis was slow, full or away for too long."),
        _("Look at Redis's memory and at the workers' logs; each gap is a blind window below."),
    )
    malformed = _Asked(
        "malformed",
        _("Malformed"),
        _("Messages on the event channel that are not events as Celery makes them."),
        _("Find who publishes them; they are counted and harm nothing."),
    )
    if status is None:
        found = ours.unknown(part), theirs.unknown(part), malformed.unknown(part)
    else:
        wrong = sum(status.malformed.values())
        found = (
            ours.of(amount(status.dropped), bad=status.dropped > 0),
            theirs.of(amount(status.producer_dropped), bad=status.producer_dropped > 0),
            malformed.of(amount(wrong), note=wrong > 0, parts=_parts(status.malformed)),
        )
    return Section("dropping", _("What did not get in"), found)


def ways(health: Health, status: RecorderStatus | None) -> Section:
    """By which ways it hears."""
    part = health.recorder
    durable = _Asked(
        "durable-events",
        _("Durable events"),
        _("Processes heard by the stream in the last minute: they wait for whoever was away."),
        _("None: add the worker plugin to your application, one line (docs/worker.md)."),
    )
    stock = _Asked(
        "stock-events",
        _("Stock events"),
        _("Online workers heard by pub/sub alone: what they say while nobody listens is gone."),
        _("What was missed is asked for afterwards; the worker plugin makes that unnecessary."),
    )
    position = _Asked(
        "stream-read-to",
        _("Stream read to"),
        _("The last entry of the stream of durable events that is kept."),
        _("If it stands still while tasks run, look at the recorder's log."),
    )
    lag = _Asked(
        "stream-lag",
        _("Stream lag"),
        _("Age of the durable event that is read next."),
        _("After an outage it falls by itself; if it grows, the store is too slow."),
    )
    if status is None:
        found = (durable, stock, position, lag)
        return Section("ways", _("Ways of hearing"), tuple(each.unknown(part) for each in found))
    used = bool(status.stream_position)
    return Section(
        "ways",
        _("Ways of hearing"),
        (
            durable.of(amount(status.durable_producers)),
            stock.of(amount(status.stock_workers), note=status.stock_workers > 0),
            position.of(status.stream_position or _("not used yet"), at=_moment_of(status)),
            lag.of(_lag(status.stream_lag) if used else "—", bad=status.stream_lag > LAG_BAD),
        ),
    )


def known_stories(health: Health, known: Known | None) -> Section:
    """How much of what ended is known from beginning to end."""
    advice = _(
        "Look at the blind windows: what ended in them is told by results and queues, not when "
        "it started."
    )
    hour = _Asked(
        "whole-stories-last-hour",
        _("Whole stories, last hour"),
        _("Ended tasks known from receipt over start to end."),
        advice,
    )
    day = _Asked(
        "whole-stories-last-24-h", _("Whole stories, last 24 h"), _("The same, of a day."), advice
    )
    lost = _Asked(
        "lost-last-24-h",
        _("Lost, last 24 h"),
        _("Tasks given up: their worker died, or the broker no longer has them."),
        _("Open one to see why and whether it comes back; run again what has to be done."),
    )
    title = _("What is known of tasks")
    if known is None:
        found = (hour, day, lost)
        return Section("stories", title, tuple(each.unknown(health.store) for each in found))
    reasons = _parts(known.reasons)
    given_up = lost.of(amount(known.day.lost), bad=known.day.lost > 0, parts=reasons)
    return Section("stories", title, (_share(hour, known.hour), _share(day, known.day), given_up))


def healing(health: Health, status: RecorderStatus | None, known: Known | None) -> Section:
    """How what was missed is made good."""
    part = health.recorder
    unhealed = _Asked(
        "not-healed",
        _("Not healed"),
        _("Blind windows that are not made good yet."),
        _("Healing starts by itself and tries again; a window that stays names what it lacks."),
    )
    now = _Asked(
        "healing",
        _("Healing"),
        _("Whether tasks are being asked for: results, queues, and what workers hold."),
        _("It is bounded and polite; with very many open tasks it takes minutes."),
    )
    checked = _Asked(
        "last-check",
        _("Last check"),
        _("When every open task was last compared with results, queues and workers."),
        _("Look at the recorder's log: broker or result backend may not answer."),
    )
    unchecked = _Asked(
        "not-judged",
        _("Not judged"),
        _("Open tasks of which the last check could not say where they are."),
        _("The reason stands below; they keep their last known state."),
    )
    open_windows = unhealed.unknown(health.store)
    if known is not None:
        open_windows = unhealed.of(amount(known.unhealed), note=known.unhealed > 0)
    if status is None:
        found = (open_windows, now.unknown(part), checked.unknown(part), unchecked.unknown(part))
        return Section("healing", _("Making good"), found)
    late = status.at - (status.checked_at or status.started_at) > CHECK_BAD
    value = _("none yet") if status.checked_at is None else ""
    last = checked.of(value, at=status.checked_at, bad=late)
    why = ((sentence(status.unchecked_reason), ""),) if status.unchecked_reason else ()
    judged = unchecked.of(amount(status.unchecked), note=status.unchecked > 0, parts=why)
    under_way = now.of(
        _("under way") if status.healing else _("nothing to do"), note=status.healing
    )
    return Section("healing", _("Making good"), (open_windows, under_way, last, judged))


def kept(health: Health, dialect: str) -> Section:
    """Where it is kept, and by whom it is reached."""
    store, broker = health.store, health.broker
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(dialect, dialect)
    of_store = _Asked(
        "store",
        _("Store"),
        _("The history, in %(database)s.", database=name),
        _("Start it, or free its disk; meanwhile the recorder keeps what it hears in memory."),
    )
    of_broker = _Asked(
        "broker",
        _("Broker"),
        _("The Redis of your Celery application."),
        _("Nothing can be sent or heard without it; workers wait for it too."),
    )
    return Section(
        "kept",
        _("Store and broker"),
        tuple(
            each.part(part, _("answers"), _("away"))
            for each, part in ((of_store, store), (of_broker, broker))
        ),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A figure before its value is known."""

    key: str
    name: str
    meaning: str
    advice: str

    def unknown(self, part: Part) -> Figure:
        return Figure(
            key=self.key,
            name=self.name,
            value=_("unknown"),
            at=part.since,
            meaning=self.meaning,
            advice=self.advice,
            grade=Grade.UNKNOWN,
        )

    def part(self, part: Part, well: str, ill: str) -> Figure:
        return Figure(
            key=self.key,
            name=self.name,
            value=well if part.ok else ill,
            since=part.since,
            parts=((sentence(part.reason), ""),) if part.reason else (),
            meaning=self.meaning,
            advice=self.advice,
            grade=Grade.GOOD if part.ok else Grade.BAD,
        )

    def of(
        self,
        value: str,
        *,
        bad: bool = False,
        note: bool = False,
        at: float | None = None,
        total: str = "",
        parts: tuple[tuple[str, str], ...] = (),
    ) -> Figure:
        return Figure(
            key=self.key,
            name=self.name,
            value=value,
            at=at,
            parts=((total, ""), *parts) if total else parts,
            meaning=self.meaning,
            advice=self.advice,
            grade=Grade.BAD if bad else Grade.NOTE if note else Grade.GOOD,
        )


def _share(asked: _Asked, found: Stories) -> Figure:
    if found.share is None:
        return asked.of(_("no task ended"))
    # Rounded down: 100 % says that not one is missing.
    percent = int(found.share * 1000) / 10
    value = percents(100 if found.whole == found.ended else percent)
    total = _("%(part)s of %(all)s", part=amount(found.whole), all=amount(found.ended))
    bad = found.share < WHOLE_BAD
    return asked.of(value, bad=bad, note=found.share < 1, total=total)


def _moment_of(status: RecorderStatus) -> float | None:
    """When the entry was added that was read last: its id begins with that."""
    milliseconds = status.stream_position.partition("-")[0]
    return int(milliseconds) / 1000 if milliseconds.isdecimal() and int(milliseconds) else None


def _lag(seconds: float) -> str:
    return _("none") if seconds < 0.001 else duration(seconds)


def _parts(counts: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    frequent = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [(sentence(reason), amount(count)) for reason, count in frequent[:PARTS]]
    rest = sum(count for _, count in frequent[PARTS:])
    return (*shown, (_("others"), amount(rest))) if rest else tuple(shown)
