"""Which tasks: one filter, parsed and printed here alone.

The query string of the tasks page, its fragment, its live stream, the JSON list, the event
stream and the shell all mean the same by it. What its parameters can't say, `q` does, by the
grammar of `app.domain.search`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, nextafter
from urllib.parse import urlencode

from app.domain.arguments import Argument
from app.domain.errors import BadInput, BadSearch, FieldError
from app.domain.search import Search, Term, parse_search, print_words, words_of
from app.domain.search_keys import MAX_TEXT, TEXT, ended_bounds, read_value, runtime_bound
from app.domain.tasks import Task, TaskState
from app.domain.texts import call_text, fold, has_words, outcome_text
from app.domain.times import parse_time, print_time

__all__ = [
    "MAX_TEXT",
    "MAX_VALUES",
    "MAX_WORDS",
    "Sort",
    "TaskFilter",
    "filter_of",
    "parse_filter",
    "parse_sort",
    "parse_time",
    "print_time",
    "read_search",
    "with_places",
]

MAX_VALUES = 50
"""Values of one repeated filter; more is a script that should filter for itself."""
MAX_WORDS = 12
"""Words of a search; each is a look-up in the text index."""
PARAMETERS = ("state", "name", "queue", "worker", "since", "until", "ended")
"""Query parameters that say the same as the keys of a search; `q` has the search itself."""


class Sort(StrEnum):
    """Orders that have an index. A leading minus is descending: newest or longest first."""

    NEWEST = "-created"
    OLDEST = "created"
    LONGEST = "-runtime"
    SHORTEST = "runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tasks that match any value of each field given, every word of the search text, and nothing
    of what is left out (`no_names`, `no_text` and so on).

    `since` and `until` bound the first moment known of the task, `ended_since` and `ended_until`
    when it ended, in seconds since the epoch; `least_runtime` (included) and `most_runtime` (not
    included) how long it ran, in seconds. A name, queue or worker that ends with `*` matches by
    what it begins with.
    """

    states: tuple[TaskState, ...] = ()
    names: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    no_names: tuple[str, ...] = ()
    no_queues: tuple[str, ...] = ()
    no_workers: tuple[str, ...] = ()
    text: str = ""
    no_text: str = ""
    arguments: tuple[Argument, ...] = ()
    since: float | None = None
    until: float | None = None
    ended_since: float | None = None
    ended_until: float | None = None
    least_runtime: float | None = None
    most_runtime: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The search text word by word, folded; what stands in double quotes stays together."""
        return _folded(self.text)

    @property
    def no_words(self) -> tuple[str, ...]:
        """The words that are left out, folded."""
        return _folded(self.no_text)

    def __bool__(self) -> bool:
        return self != TaskFilter()

    def pairs(self) -> list[tuple[str, str]]:
        """The filter as query parameters, in one canonical order."""
        found = [("state", state.value) for state in self.states]
        found += [("name", name) for name in self.names]
        found += [("queue", queue) for queue in self.queues]
        found += [("worker", worker) for worker in self.workers]
        if search := self._beside():
            found.append(("q", str(search)))
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
            and self._ended_then(task)
            and self._took_as_long(task.runtime)
            and not (self.no_names and _any_match(self.no_names, task.name))
            and not (self.no_queues and _any_match(self.no_queues, task.queue))
            and not (self.no_workers and _any_match(self.no_workers, task.worker))
            and (not (self.text or self.no_text or self.arguments) or self._says(task))
        )

    @property
    def ended(self) -> bool:
        """Whether it asks when tasks ended."""
        return self.ended_since is not None or self.ended_until is not None

    def _ended_then(self, task: Task) -> bool:
        if not self.ended:
            return True
        if not task.state.ended or task.finished_at is None:
            return False
        if self.ended_since is not None and task.finished_at < self.ended_since:
            return False
        return self.ended_until is None or task.finished_at < self.ended_until

    def _took_as_long(self, runtime: float | None) -> bool:
        if self.least_runtime is None and self.most_runtime is None:
            return True
        if runtime is None or runtime < (self.least_runtime or 0.0):
            return False
        return self.most_runtime is None or runtime < self.most_runtime

    def _says(self, task: Task) -> bool:
        fields = task.args, task.args_repr, task.kwargs, task.kwargs_repr
        call = call_text(task.id, task.name, *fields)
        outcome = outcome_text(task.result, task.result_repr, task.exception)
        return (
            has_words(self.words, task.id, call, outcome)
            and not any(has_words((word,), task.id, call, outcome) for word in self.no_words)
            and all(argument.takes(task.name, call, fields) for argument in self.arguments)
        )

    def _beside(self) -> Search:
        """What no parameter says."""
        terms = [
            Term("name", self.no_names, True),
            Term("queue", self.no_queues, True),
            Term("worker", self.no_workers, True),
            Term(TEXT, words_of(self.text)),
            Term(TEXT, words_of(self.no_text), True),
        ]
        for one in self.arguments:
            terms.append(Term("args." + ".".join(one.path), one.values, one.negated))
        if self.ended:
            first, last = (
                "" if at is None else print_time(at) for at in (self.ended_since, self.ended_until)
            )
            terms.append(Term("ended", (f"{first}..{last}" if last else first,)))
        if self.least_runtime is not None:
            terms.append(Term("runtime", (f">={self.least_runtime!r}s",)))
        if self.most_runtime is not None:
            terms.append(Term("runtime", (f"<{self.most_runtime!r}s",)))
        return Search.of(terms)


def filter_of(search: Search, now: float) -> TaskFilter:
    """What a search asks for at that moment: its ages are counted back from it."""
    since = [parse_time(value, now) for value in search.values("since")]
    until = [parse_time(value, now) for value in search.values("until")]
    ended = [ended_bounds(value, now) for value in search.values("ended")]
    least, most = _runtimes(search.values("runtime"))
    return TaskFilter(
        states=_states(search),
        names=search.values("name"),
        queues=search.values("queue"),
        workers=search.values("worker"),
        no_names=search.values("name", negated=True),
        no_queues=search.values("queue", negated=True),
        no_workers=search.values("worker", negated=True),
        text=print_words(search.values(TEXT)),
        no_text=print_words(search.values(TEXT, negated=True)),
        arguments=tuple(
            Argument(tuple(term.key.split(".")[1:]), term.values, term.negated)
            for term in search.terms
            if term.key.startswith("args.")
        ),
        since=max(since, default=None),
        until=min(until, default=None),
        ended_since=max((first for first, _ in ended if first is not None), default=None),
        ended_until=min((last for _, last in ended if last is not None), default=None),
        least_runtime=least,
        most_runtime=most,
    )


def read_search(pairs: Iterable[tuple[str, str]]) -> Search:
    """The search that query parameters ask for, `q` and the others together; parameters of other
    names are left alone.

    `since` and `until` take RFC 3339, seconds since the epoch, or an age such as `2h`. Raises
    BadInput, naming each parameter that is wrong, and BadSearch where only `q` is.
    """
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        if value != "":
            values.setdefault(key, []).append(value)
    errors: list[FieldError] = []
    terms = [Term(key, _values(key, values, errors)) for key in PARAMETERS]
    try:
        terms += parse_search(" ".join(values.get("q", ()))).terms
    except BadSearch as wrong:
        if not errors:
            raise
        errors += wrong.errors
    if errors:
        raise BadInput("Some of the filters are not understood.", tuple(errors))
    return Search.of(terms)


def with_places(
    wanted: TaskFilter, signatures: Mapping[str, Sequence[Sequence[str]]]
) -> TaskFilter:
    """The filter with the places that its arguments have by the signatures of each task: names
    of arguments in their order, of each version of the task that is known."""
    arguments = []
    for one in wanted.arguments:
        places = {
            (task, names.index(one.path[0]))
            for task, versions in signatures.items()
            for names in versions
            if one.path[0] in names
        }
        arguments.append(replace(one, places=tuple(sorted(places))))
    return replace(wanted, arguments=tuple(arguments))


def parse_filter(pairs: Iterable[tuple[str, str]], now: float) -> TaskFilter:
    """The filter that query parameters ask for, at that moment. Raises as `read_search` does."""
    return filter_of(read_search(pairs), now)


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


def _folded(text: str) -> tuple[str, ...]:
    return tuple(fold(" ".join(word.split())) for word in words_of(text))[:MAX_WORDS]


def _any_match(patterns: Sequence[str], value: str | None) -> bool:
    if not patterns:
        return True
    if value is None:
        return False
    return any(
        value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
        for pattern in patterns
    )


def _states(search: Search) -> tuple[TaskState, ...]:
    asked = search.values("state")
    left_out = search.values("state", negated=True)
    if left_out and not asked:
        asked = tuple(state.value.lower() for state in TaskState)
    return tuple(TaskState(value.upper()) for value in asked if value not in left_out)


def _runtimes(bounds: Iterable[str]) -> tuple[float | None, float | None]:
    """The least, included, and the most, not included: of several the narrowest."""
    least: list[float] = []
    most: list[float] = []
    for bound in bounds:
        sign, seconds = runtime_bound(bound)
        exactly = seconds if sign in (">=", "<") else nextafter(seconds, inf)
        (least if sign[0] == ">" else most).append(exactly)
    return max(least, default=None), min(most, default=None)


def _values(key: str, values: Mapping[str, list[str]], errors: list[FieldError]) -> tuple[str, ...]:
    given = values.get(key, [])
    if key == "state":
        given = [part for value in given for part in value.split(",")]
    elif key in ("since", "until"):
        given = given[-1:]
    given = list(dict.fromkeys(given))
    if len(given) > MAX_VALUES:
        errors.append(FieldError(("query", key), f"{len(given)} values; at most {MAX_VALUES}"))
    found: list[str] = []
    for value in given:
        try:
            found += read_value(key, value, False)[1]
        except ValueError as refused:
            errors.append(FieldError(("query", key), refused.args[0].sentence))
    return tuple(found)
