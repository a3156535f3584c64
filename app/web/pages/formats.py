"""Values as people read them: times, durations, amounts, ids and values of tasks.

What a page shows must look the same until something happens, or it would be sent again and
again: so times stand absolute here, and `static/js/times.js` turns them into ages.
"""

import re
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2s
from itertools import pairwise

from app.domain.filters import print_time
from app.domain.tasks import Task, TaskState
from app.web.language import gettext as _
from app.web.language import marked, marked_in, text

PREVIEW = 100
"""Characters of arguments or an error in a row: about what fits on one line of a wide screen."""
UNKNOWN = "—"

GREAT = marked_in("great numbers", "9 %(number)s G;6 %(number)s M;3 %(number)s k")
"""How great numbers are shortened: powers of ten, the greatest first, each with its word. Languages
have words for other powers."""
PERCENT = marked("%(number)s %%")
MILLISECONDS, SECONDS = marked("%(number)s ms"), marked("%(number)s s")
UNITS = (
    (marked("%(number)s d"), 86_400),
    (marked("%(number)s h"), 3_600),
    (marked("%(number)s min"), 60),
    (SECONDS, 1),
)
"""What lasts is told in one of these, and what is left in the next; in seconds."""
MONTHS = (
    marked_in("month", "Jan"),
    marked_in("month", "Feb"),
    marked_in("month", "Mar"),
    marked_in("month", "Apr"),
    marked_in("month", "May"),
    marked_in("month", "Jun"),
    marked_in("month", "Jul"),
    marked_in("month", "Aug"),
    marked_in("month", "Sep"),
    marked_in("month", "Oct"),
    marked_in("month", "Nov"),
    marked_in("month", "Dec"),
)

_PLAIN_ID = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def clock(at: float | None) -> str:
    """`18:30:55`, in UTC."""
    return UNKNOWN if at is None else _moment(at, "%H:%M:%S")


def day(at: datetime) -> str:
    """`Nov 22`."""
    return _("%(month)s %(day)s", month=text(MONTHS[at.month - 1]), day=at.day)


def moment(at: float | None) -> str:
    """`2026-11-22 18:30:55.123 UTC`."""
    if at is None:
        return UNKNOWN
    milli = int(at * 1000) % 1000
    return f"{_moment(at, '%Y-%m-%d %H:%M:%S')}.{milli:03d} UTC"


def machine_time(at: float) -> str:
    """RFC 3339, for `<time datetime>`; empty where no calendar has that moment."""
    try:
        return print_time(at)
    except (ValueError, OverflowError, OSError):
        return ""


def duration(seconds: float | None) -> str:
    """`3 ms`, `1.24 s`, `2 min 5 s`, `3 h 12 min`, `5 d 3 h`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        milli = f"{seconds * 1000:.0f}" if seconds >= 0.001 else f"{seconds * 1000:.1f}"
        return text(MILLISECONDS) % {"number": milli}
    if seconds < 60:
        return text(SECONDS) % {"number": f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}"}
    whole = int(seconds)
    for (unit, size), (part, smaller) in pairwise(UNITS):
        if whole >= size:
            first, rest = text(unit) % {"number": whole // size}, whole % size // smaller
            return f"{first} {text(part) % {'number': rest}}" if rest else first
    return text(SECONDS) % {"number": whole}


def units() -> str:
    """The patterns of `UNITS`, for scripts: `{} d|{} h|{} min|{} s`."""
    return "|".join(text(unit) % {"number": "{}"} for unit, _size in UNITS)


def amount(number: float | None) -> str:
    """`1,234`, `12.3 k`, `4.5 M`; a dash where it isn't known."""
    if number is None:
        return UNKNOWN
    if number != int(number):
        return f"{number:,.1f}"
    if abs(number) < 100_000:
        return f"{int(number):,}"
    for power, unit in _steps(text(GREAT)):
        if abs(number) >= 10**power:
            return unit % {"number": f"{number / 10**power:.1f}"}
    return f"{int(number):,}"


def share(part: float, whole: float) -> str:
    """`2.5 %`; never rounded to none or to all of it. A dash where there is no whole."""
    if whole <= 0:
        return UNKNOWN
    tenths = round(part / whole * 1000)
    if 0 < part < whole:
        tenths = max(1, min(999, tenths))
    return percents(tenths // 10 if tenths % 10 == 0 else tenths / 10)


def percents(number: float) -> str:
    """`2.5 %`, `20 %`."""
    return text(PERCENT) % {"number": f"{number:g}"}


def size(count: int) -> str:
    """Bytes or characters: `812 B`, `4.2 KiB`, `1.0 MiB`."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.1f} MiB"


def capital(sentence: str) -> str:
    """A sentence with a capital letter, where its writing has any."""
    return sentence[:1].upper() + sentence[1:]


def short_id(task_id: str) -> str:
    """The part of an id that tells two apart at a glance."""
    if _UUID.match(task_id):
        return task_id[:8]
    return task_id if len(task_id) <= 16 else task_id[:15] + "…"


def short_name(name: str | None) -> str:
    """The last part of a dotted name, which is the one that a person knows a task by."""
    return UNKNOWN if not name else name.rsplit(".", 1)[-1] or name


def dom_id(prefix: str, name: str) -> str:
    """An `id` for an element about `name`, safe in a selector whatever the name is."""
    if not _PLAIN_ID.match(name):
        name = "x" + blake2s(name.encode(errors="surrogatepass"), digest_size=12).hexdigest()
    return f"{prefix}-{name}"


def cut(text: str, limit: int = PREVIEW) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text[: limit * 4].split())
    return flat if len(flat) <= limit and len(text) <= limit * 4 else flat[: limit - 1] + "…"


def arguments(task: Task) -> str:
    """What a task was called with, as in a call: `2, 3, retries=1`; empty where not known."""
    args = (task.args or task.args_repr or "").strip()
    kwargs = (task.kwargs or task.kwargs_repr or "").strip()
    parts = [] if args in ("", "[]", "()") else [_unwrapped(args)]
    parts += [] if kwargs in ("", "{}") else [kwargs]
    return cut(", ".join(parts))


def ran(task: Task) -> float | None:
    """Seconds that a task ran. Celery says it of successes alone; of others the times tell.

    When a lost task stopped running is what nobody knows.
    """
    if task.state is TaskState.LOST:
        return None
    if task.runtime is not None or task.started_at is None or task.finished_at is None:
        return task.runtime
    return max(0.0, task.finished_at - task.started_at)


def percent(part: float | None, whole: float | None) -> int | None:
    """0 to 100; None where that can't be said."""
    if part is None or not whole or whole <= 0:
        return None
    return max(0, min(100, int(part / whole * 100)))


@cache
def _steps(message: str) -> tuple[tuple[int, str], ...]:
    steps = (step.partition(" ") for step in message.split(";"))
    return tuple((int(power), unit) for power, _space, unit in steps)


def _moment(at: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def _unwrapped(args: str) -> str:
    if len(args) > 1 and args[0] in "[(" and args[-1] in "])":
        return args[1:-1].rstrip(",")
    return args
