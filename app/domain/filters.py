"""Which tasks: one filter, parsed and printed here alone.

The query string of the tasks page, its fragment, its live stream, the JSON list, the event
stream and the shell all mean the same by it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode

from app.domain.errors import BadInput, FieldError
from app.domain.tasks import Task, TaskState

MAX_VALUES = 50
"""Values of one repeated filter; more is a script that should filter for itself."""
MAX_TEXT = 500
"""Characters of one filter value or of the search text; names and ids are shorter."""
MAX_WORDS = 12
"""Words of a search; each is a look-up in the text index."""

SEARCHED_LENGTH = 1_000
"""Characters of each field that a search looks through; every one more is indexed work."""
ID_WORD_LENGTH = 4
"""Characters that a word needs to find UUIDs that begin with it; shorter ones fit too many."""

_AGO = re.compile(r"^(\d{1,6})\s*([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_HEX = "[0-9a-fA-F]"
_is_uuid = re.compile("-".join(f"{_HEX}{{{length}}}" for length in (8, 4, 4, 4, 12))).fullmatch
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


class Sort(StrEnum):
    """Orders that have an index. A leading minus is descending: newest or longest first."""

    NEWEST = "-created"
    OLDEST = "created"
    LONGEST = "-runtime"
    SHORTEST = "runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tasks that match any value of each field given, and every word of the search text.

    `since` and `until` bound the first moment known of the task, in seconds since the epoch.
    A name, queue or worker that ends with `*` matches by what it begins with.
    """

    states: tuple[TaskState, ...] = ()
    names: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    text: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The search text word by word, folded; what stands in double quotes stays together."""
        found = (" ".join((quoted or plain).split()) for quoted, plain in _WORD.findall(self.text))
        return tuple(fold(word) for word in found if word)[:MAX_WORDS]

    def __bool__(self) -> bool:
        return self != TaskFilter()

    def pairs(self) -> list[tuple[str, str]]:
        """The filter as query parameters, in one canonical order."""
        found = [("state", state.value) for state in self.states]
        found += [("name", name) for name in self.names]
        found += [("queue", queue) for queue in self.queues]
        found += [("worker", worker) for worker in self.workers]
        if self.text:
            found.append(("q", self.text))
        if self.since is not None:
            found.append(("since", print_time(self.since)))
        if self.until is not None:
            found.append(("until", print_time(self.until)))
        return found

    def query_string(self) -> str:
        """`state=FAILURE&name=mail.send`: the canonical query string, "" for no filter."""
        return urlencode(self.pairs())

    def matches(self, task: Task) -> bool:
        """The same answer as the store gives, for a task at hand."""
        return (
            (not self.states or task.state in self.states)
            and _any_match(self.names, task.name)
            and _any_match(self.queues, task.queue)
            and _any_match(self.workers, task.worker)
            and (self.since is None or task.seen_at >= self.since)
            and (self.until is None or task.seen_at < self.until)
            and (not self.text or _has_words(task, self.words))
        )


def parse_filter(pairs: Iterable[tuple[str, str]], now: float) -> TaskFilter:
    """The filter that query parameters ask for; parameters of other names are left alone.

    `since` and `until` take RFC 3339, seconds since the epoch, or an age such as `2h`
    (counted back from `now`). Raises BadInput, naming each parameter that is wrong.
    """
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        if value != "":
            values.setdefault(key, []).append(value)
    errors: list[FieldError] = []
    states = _states(values.get("state", ()), errors)
    found = TaskFilter(
        states=states,
        names=_texts("name", values, errors),
        queues=_texts("queue", values, errors),
        workers=_texts("worker", values, errors),
        text=_text(values, errors),
        since=_time("since", values, now, errors),
        until=_time("until", values, now, errors),
    )
    if errors:
        raise BadInput("Some of the filters are not understood.", tuple(errors))
    return found


def parse_sort(value: str | None) -> Sort:
    """The order asked for; newest first where none is. Raises BadInput."""
    if not value:
        return Sort.NEWEST
    try:
        return Sort(value)
    except ValueError:
        allowed = ", ".join(sort.value for sort in Sort)
        error = FieldError(("query", "sort"), f"{value!r} is not one of {allowed}")
        raise BadInput("That order is not known.", (error,)) from None


def parse_time(value: str, now: float) -> float:
    """RFC 3339, seconds since the epoch, or an age such as `15m`. Raises ValueError."""
    if ago := _AGO.match(value.strip()):
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(value)
    except ValueError:
        # A "+" of a time zone arrives as a space where somebody did not encode it.
        moment = datetime.fromisoformat(value.strip().replace(" ", "+"))
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds < 32_503_680_000:
        raise ValueError("before 1970 or after the year 3000")
    return seconds


def print_time(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds: `2026-11-22T18:00:00.000000Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _any_match(patterns: Sequence[str], value: str | None) -> bool:
    if not patterns:
        return True
    if value is None:
        return False
    return any(
        value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
        for pattern in patterns
    )


def _has_words(task: Task, words: Sequence[str]) -> bool:
    call = call_text(task.id, task.name, task.args, task.args_repr, task.kwargs, task.kwargs_repr)
    outcome = outcome_text(task.result, task.result_repr, task.exception)
    return has_words(words, task.id, call, outcome)


def has_words(words: Iterable[str], task_id: str, call: str, outcome: str) -> bool:
    """Whether each word stands somewhere in the texts, or begins the id."""
    return all(word in call or word in outcome or begins_id(word, task_id) for word in words)


def begins_id(word: str, task_id: str) -> bool:
    """Whether a folded word is long enough to be the beginning of an id, and is of this one."""
    return len(word) >= ID_WORD_LENGTH and task_id.lower().startswith(word)


def call_text(
    task_id: str,
    name: str | None,
    args: str | None,
    args_repr: str | None,
    kwargs: str | None,
    kwargs_repr: str | None,
) -> str:
    """What a search looks through of a task's call, folded, a field a line.

    An id that is a UUID is left out: it is found by its beginning, and its random digits would
    be most of the text index.
    """
    shown_id = None if _is_uuid(task_id) else task_id
    return _searched(shown_id, name, args or args_repr, kwargs or kwargs_repr)


def outcome_text(result: str | None, result_repr: str | None, exception: str | None) -> str:
    """What a search looks through of a task's outcome, folded, a field a line."""
    return _searched(result or result_repr, exception)


def fold(text: str) -> str:
    """Text as it is compared: no difference of case, and JSON's `\\u6771` as what it stands for."""
    if "\\u" in text:
        text = _ESCAPES.sub(_unescape, text)
    return text.casefold()


def _unescape(found: re.Match[str]) -> str:
    units = bytes.fromhex(found[0].replace("\\u", ""))
    return units.decode("utf-16-be", "replace").replace("\0", "\ufffd")


def _searched(*fields: str | None) -> str:
    text = "\n".join([field for field in fields if field])
    if len(text) > SEARCHED_LENGTH:
        text = "\n".join([field[:SEARCHED_LENGTH] for field in fields if field])
    return fold(text)


def _states(given: Sequence[str], errors: list[FieldError]) -> tuple[TaskState, ...]:
    found: list[TaskState] = []
    for value in (part for text in given for part in text.split(",")):
        try:
            found.append(TaskState(value.strip().upper()))
        except ValueError:
            allowed = ", ".join(TaskState)
            errors.append(FieldError(("query", "state"), f"{value!r} is not one of {allowed}"))
    return tuple(dict.fromkeys(found))


def _texts(key: str, values: Mapping[str, list[str]], errors: list[FieldError]) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(values.get(key, ())))
    if len(given) > MAX_VALUES:
        errors.append(FieldError(("query", key), f"{len(given)} values; at most {MAX_VALUES}"))
    if any(len(value) > MAX_TEXT for value in given):
        errors.append(FieldError(("query", key), f"at most {MAX_TEXT} characters"))
    return given


def _text(values: Mapping[str, list[str]], errors: list[FieldError]) -> str:
    text = " ".join(values.get("q", ())).strip()
    if len(text) > MAX_TEXT:
        errors.append(FieldError(("query", "q"), f"at most {MAX_TEXT} characters"))
    return text


def _time(
    key: str, values: Mapping[str, list[str]], now: float, errors: list[FieldError]
) -> float | None:
    given = values.get(key)
    if not given:
        return None
    try:
        return parse_time(given[-1], now)
    except (ValueError, OverflowError):
        allowed = "a time such as 2026-11-22T18:00:00Z, or an age such as 15m, 2h, 7d"
        errors.append(FieldError(("query", key), f"{given[-1]!r} is not {allowed}"))
        return None
