"""Figures of what ended, as JSON: what `GET /stats` tells beside the whole of now."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, Struct

from app.domain.errors import BadInput, FieldError
from app.domain.filters import MAX_TEXT, parse_filter
from app.domain.sketch import Sketch
from app.feed.times import moment
from app.store.figures import Ended
from app.web.figures import BY, Asked, Found, check, step_for
from app.web.openapi import query

USUAL_LENGTH = 3_600.0
"""Seconds of figures where nobody says since when."""
PARAMETERS = [
    query("since", "Figures since: RFC 3339, or an age such as `24h`", {"type": "string"}),
    query("until", "Until when; now", {"type": "string"}),
    query("step", "Seconds of each step of the series, whole minutes", {"type": "integer"}),
    query("by", "A total for each name, queue or worker", {"enum": list(BY)}),
    query("label", "Of `by`, this one alone", {"type": "string", "maxLength": MAX_TEXT}),
]
"""Any of them asks for figures."""
_NAMES = frozenset(str(parameter["name"]) for parameter in PARAMETERS)


class DurationsJson(Struct, frozen=True):
    """Seconds that tasks took, of `count` of which it is known; quantiles and max within 1 %.
    Null where nothing is known."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class EndedJson(Struct, frozen=True, kw_only=True):
    """Tasks that ended. `failed` are FAILURE, LOST and REJECTED; `failure_rate` is of 1."""

    ended: int
    states: dict[str, int]
    failed: int
    failure_rate: float | None
    run: DurationsJson
    wait: DurationsJson


class PointJson(EndedJson, frozen=True, kw_only=True):
    """Those of one step; `at` is when it begins."""

    at: str | None


class LabelJson(EndedJson, frozen=True, kw_only=True):
    """Those of one name, queue or worker; null: not known. `(others)` are those beyond the ones
    that are followed."""

    label: str | None


class FiguresJson(Struct, frozen=True, kw_only=True):
    """What ended from `since` on and before `until`, both taken to whole steps."""

    since: str | None
    until: str | None
    step: int
    by: str | None
    label: str | None
    total: EndedJson
    series: Annotated[list[PointJson], Meta(description="Steps in which something ended")]
    labels: Annotated[
        list[LabelJson] | None, Meta(description="The busiest first; null where `by` is not given")
    ]


def asked_of(pairs: Iterable[tuple[str, str]]) -> Asked | None:
    """The figures that query parameters ask for; None where they ask for none. Raises BadInput."""
    values = {key: value for key, value in pairs if key in _NAMES and value != ""}
    if not values:
        return None
    now = time.time()
    span = [(key, values[key]) for key in ("since", "until") if key in values]
    found = parse_filter(span, now)
    until = now if found.until is None else min(found.until, now)
    since = until - USUAL_LENGTH if found.since is None else found.since
    by = values.get("by")
    if by is not None and by not in BY:
        allowed = FieldError(("query", "by"), f"{by!r} is not one of {', '.join(BY)}")
        raise BadInput("There are no such figures.", (allowed,))
    step = _whole(values["step"]) if "step" in values else step_for(since, until, now)
    asked = Asked(since, until, step, None if by is None else BY[by], values.get("label"))
    check(asked, now)
    return asked


def figures_json(found: Found) -> FiguresJson:
    """The answer."""
    since, until, step, by, label = found.asked
    names = {kind: name for name, kind in BY.items()}
    listed = by is not None and label is None
    return FiguresJson(
        since=moment(since // step * step),
        until=moment(-(-until // step) * step),
        step=step,
        by=None if by is None else names[by],
        label=label,
        total=EndedJson(**_ended(found.total)),
        series=[PointJson(at=moment(at), **_ended(each)) for at, each in found.series.items()],
        labels=[LabelJson(label=one, **_ended(each)) for one, each in found.labels]
        if listed
        else None,
    )


def _ended(ended: Ended) -> dict[str, Any]:
    rate = ended.failure_rate
    return {
        "ended": ended.count,
        "states": {state.value: count for state, count in ended.counts.items() if count},
        "failed": ended.failed,
        "failure_rate": None if rate is None else round(rate, 6),
        "run": _durations(ended.run),
        "wait": _durations(ended.wait),
    }


def _durations(sketch: Sketch) -> DurationsJson:
    told = (sketch.mean, *sketch.quantiles(0.5, 0.95, 0.99, 1))
    rounded = [None if seconds is None else round(seconds, 6) for seconds in told]
    return DurationsJson(sketch.count, *rounded)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        error = FieldError(("query", "step"), f"{text[:100]!r} is not a number of seconds")
        raise BadInput("There are no such figures.", (error,)) from None
