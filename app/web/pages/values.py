"""What a task was given and gave back, as a page shows it."""

from functools import cached_property
from types import MappingProxyType

from markupsafe import Markup

from app.domain.tasks import Task
from app.web.language import language, marked
from app.web.pages.traceback import Raised, parse_traceback
from app.web.pages.tree import LINE, tree

SHOWN_LIMIT = 64 * 1024
"""Characters of one value's raw text in a page; the rest is a click away, as JSON."""


class Value:
    """JSON, or a repr where only that is known; drawn once, however often its page is.

    `key` is REST's name of it, which paths into it begin with.
    """

    def __init__(self, key: str, title: str, json: str | None, text: str | None) -> None:
        self.key, self.title = key, title
        self.json = None if json is None else json.strip().replace("\r", " ")
        self.text = text
        self._language = language()

    def is_same(self, other: "Value | None") -> bool:
        """Whether the other one shows the same."""
        if other is None or self._language != other._language:
            return False
        return (self.json, self.text) == (other.json, other.text)

    @property
    def length(self) -> int:
        return len(self.json or self.text or "")

    @cached_property
    def tree(self) -> Markup | None:
        """The tree of a JSON value; None where it is too large for one, or not JSON."""
        return None if self.json is None else tree(self.json, self.key)

    @property
    def raw(self) -> str:
        """As much of its text as is shown."""
        return (self.json or self.text or "")[:SHOWN_LIMIT]

    @property
    def is_cut(self) -> bool:
        return self.length > SHOWN_LIMIT

    @property
    def is_short(self) -> bool:
        """It stands on one line, which is its raw text too."""
        return self.json is not None and self.length <= LINE


class Failure:
    """What went wrong: the error and its traceback, taken apart once."""

    def __init__(self, exception: str | None, traceback: str | None) -> None:
        self.exception, self.traceback = exception, traceback

    @property
    def text(self) -> str:
        """The raw text of it."""
        return self.traceback or self.exception or ""

    @cached_property
    def errors(self) -> tuple[Raised, ...]:
        """What happened in the end, and what that came of; empty where there is no traceback."""
        return parse_traceback(self.traceback)


class Shown:
    """What was drawn of a task's values lately: looked at again instead of drawn again."""

    def __init__(self) -> None:
        self._values: MappingProxyType[str, Value] = MappingProxyType({})
        self._failure: Failure | None = None

    def values(self, task: Task) -> tuple[Value, ...]:
        """The task's values, the result first."""
        found = (
            Value("result", marked("Result"), task.result, task.result_repr),
            Value("args", marked("Arguments"), task.args, task.args_repr),
            Value("kwargs", marked("Keyword arguments"), task.kwargs, task.kwargs_repr),
        )
        known = self._values
        kept = {
            each.key: known[each.key] if each.is_same(known.get(each.key)) else each
            for each in found
        }
        self._values = MappingProxyType(kept)
        return tuple(kept.values())

    def failure(self, task: Task) -> Failure | None:
        """What the task's error is, if it has one."""
        if not task.exception and not task.traceback:
            self._failure = None
        elif self._failure is None or (self._failure.exception, self._failure.traceback) != (
            task.exception,
            task.traceback,
        ):
            self._failure = Failure(task.exception, task.traceback)
        return self._failure
