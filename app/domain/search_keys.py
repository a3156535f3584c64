"""The keys of a search: what each takes, and what is said where it does not fit."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from app.domain.tasks import TaskState
from app.domain.times import duration, parse_time, print_duration

MAX_TEXT = 500
"""Characters of one filter value or of the search text; names and ids are shorter."""
TEXT = ""
"""The key of words that have none."""
WHOLE_KEYS = frozenset({"since", "until", "ended", "runtime"})
"""Keys whose values are bounds: all of them hold."""

UNKNOWN = "There is no key {key!r}: there are {keys}. To look for it as it is, put it in quotes."
MEANT = "There is no key {key!r}; did you mean {meant!r}?"
NO_STATE = "{value!r} is not one of {allowed}"
NO_TIME = "{value!r} is not a time such as 2026-11-22T18:00:00Z, or an age such as 15m, 2h, 7d"
NO_ENDED = (
    "{value!r} is not a time or an age such as 15m from which on it ended; or two with .. between,"
    " from the first on and before the second"
)
NO_RUNTIME = "{value!r} is not a bound such as >5s, <=300ms, <2m or 5s..1m"
NO_PATH = "Say which argument: args.user_id:123 by its name, args.0:123 by its place"
NO_SUCH_PATH = "{key} has no parts; write {key}:{example}"
NOT_NEGATED = "{key} can't be left out; say {instead} instead"
TOO_LONG = "at most {most} characters"

_BOUND = re.compile(r"(>=|<=|>|<)\s*(\S+)")
_RANGE = re.compile(r"(.+?)\.\.(.+)")
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_EPOCH = 4_000_000_000.0


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that a person can act on, and what could stand there `instead`.

    `of_key`: it is about the key and not about the value.
    """

    sentence: str
    instead: str | None = None
    of_key: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key: an example of its values, what it finds, and its values where they are few."""

    name: str
    example: str
    finds: str
    choices: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """A term with it."""
        name = "args.user_id" if self.name == "args" else self.name
        return f"{name}:{self.example}" if name else self.example


KEYS = {
    key.name: key
    for key in (
        Key(
            "state",
            "failure",
            "In this state; several with commas",
            tuple(state.value.lower() for state in TaskState),
        ),
        Key("name", "mail*", "Of this name; * for all that begin so"),
        Key("queue", "emails", "Sent to this queue"),
        Key("worker", "celery@w2", "Taken by this worker"),
        Key("args", "123", "Called with this argument, by name, or by place as args.0"),
        Key("runtime", ">5s", "That ran so long: >5s, <300ms, 1m..5m"),
        Key("since", "2h", "First known at or after a time, or within an age"),
        Key("until", "15m", "First known before a time, or longer ago than an age"),
        Key(
            "ended",
            "1h",
            "Ended at or after a time or within an age; A..B: from A on, before B",
        ),
        Key(TEXT, '"no route"', "These words in its id, name, arguments, result or error"),
    )
}
"""In the order in which a search is printed."""
_NAMES = tuple(name for name in KEYS if name != TEXT)
_ALIASES = {
    "status": "state",
    "task": "name",
    "kwargs": "args",
    "argument": "args",
    "arguments": "args",
    "duration": "runtime",
    "ran": "runtime",
    "after": "since",
    "before": "until",
    "finished": "ended",
    "host": "worker",
    "hostname": "worker",
}
"""What other systems call them; told, not taken, so that one search has one form."""


def unknown_key(key: str) -> Said | None:
    """What is said of a word before a colon that is no key; None where it may well be text."""
    head, dot, path = key.partition(".")
    near = [_ALIASES[head]] if head in _ALIASES else get_close_matches(head, _NAMES, 1, 0.7)
    if dot and near != ["args"]:
        return None
    if near:
        meant = near[0] + (dot + path if dot else "")
        return Said(MEANT.format(key=key, meant=meant), meant)
    return Said(UNKNOWN.format(key=key, keys=", ".join(_NAMES))) if key.islower() else None


def read_value(key: str, value: str, negated: bool) -> tuple[str, Sequence[str]]:
    """The key and the value in their canonical form; a range of runtimes is two bounds.

    Raises ValueError with what is Said.
    """
    name, _, path = key.partition(".")
    name = name.lower()
    if len(value) > MAX_TEXT:
        raise ValueError(Said(TOO_LONG.format(most=MAX_TEXT)))
    if name == "args":
        if not all(path.split(".")):
            raise ValueError(Said(NO_PATH, of_key=True))
        return f"args.{path}", (value,)
    if path:
        example = KEYS[name].example
        raise ValueError(Said(NO_SUCH_PATH.format(key=name, example=example), name, of_key=True))
    if name in WHOLE_KEYS and negated:
        instead = _instead(name, value)
        raise ValueError(Said(NOT_NEGATED.format(key=name, instead=instead), of_key=True))
    read = _READERS.get(name)
    return name, (value,) if read is None else read(value)


def read_state(value: str) -> tuple[str, ...]:
    """A state in small letters. Raises ValueError with what is Said."""
    folded = value.strip().lower()
    choices = KEYS["state"].choices
    if folded in choices:
        return (folded,)
    near = get_close_matches(folded, choices, 1, 0.6)
    allowed = ", ".join(TaskState)
    said = NO_STATE.format(value=value, allowed=allowed)
    raise ValueError(Said(said, near[0] if near else None))


def read_moment(value: str) -> tuple[str, ...]:
    """A time or an age as it was said. Raises ValueError with what is Said."""
    try:
        parse_time(value, _EPOCH)
    except (ValueError, OverflowError):
        raise ValueError(Said(NO_TIME.format(value=value))) from None
    return (value.strip(),)


def read_ended(value: str) -> tuple[str, ...]:
    """One or two times or ages as they were said: `2h`, `A..B`, `..B`. Raises ValueError with what
    is Said."""
    first, _, last = (part.strip() for part in value.partition(".."))
    try:
        for part in (first, last) if first and last else (first or last,):
            parse_time(part, _EPOCH)
    except (ValueError, OverflowError):
        raise ValueError(Said(NO_ENDED.format(value=value))) from None
    return (f"{first}..{last}" if last else first,)


def ended_bounds(value: str, now: float) -> tuple[float | None, float | None]:
    """The first moment of such a time and the first after it, in seconds since the epoch."""
    first, _, last = value.partition("..")
    return parse_time(first, now) if first else None, parse_time(last, now) if last else None


def read_runtime(value: str) -> tuple[str, ...]:
    """One or two bounds, each a sign and a duration. Raises ValueError with what is Said."""
    text = value.strip()
    try:
        if within := _RANGE.fullmatch(text):
            least, most = duration(within[1]), duration(within[2])
            return f">={print_duration(least)}", f"<={print_duration(most)}"
        if bound := _BOUND.fullmatch(text):
            return (bound[1] + print_duration(duration(bound[2])),)
        instead = ">" + print_duration(duration(text))
    except (ValueError, OverflowError):
        instead = None
    raise ValueError(Said(NO_RUNTIME.format(value=value), instead))


def runtime_bound(value: str) -> tuple[str, float]:
    """The sign and the seconds of a bound in its canonical form."""
    sign = value.rstrip("0123456789.e+-mshd")
    return sign, duration(value.removeprefix(sign))


def _instead(name: str, value: str) -> str:
    if name == "ended":
        return f"ended:..{value}"
    if name != "runtime":
        return f"{'until' if name == 'since' else 'since'}:{value}"
    bound = _BOUND.fullmatch(value.strip())
    return f"runtime:{_OPPOSITE[bound[1]]}{bound[2]}" if bound else "runtime:<5s"


_READERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "state": read_state,
    "since": read_moment,
    "until": read_moment,
    "ended": read_ended,
    "runtime": read_runtime,
}
