"""Which columns a list of tasks has: chosen in its address, in one fixed order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.errors import BadInput, FieldError


class Column(StrEnum):
    """What a list can show of each task, in the order in which it stands there.

    DETAILS is the line under the task's name: its error if it failed, else its arguments.
    """

    STATE = "state"
    TASK = "task"
    DETAILS = "details"
    ARGUMENTS = "arguments"
    RESULT = "result"
    EXCEPTION = "exception"
    QUEUE = "queue"
    WORKER = "worker"
    ID = "id"
    PRIORITY = "priority"
    RETRIES = "retries"
    SEEN = "seen"
    STARTED = "started"
    ENDED = "ended"
    WAITED = "waited"
    RAN = "ran"


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a list, in their order, each once. TASK is always there: it leads to the task.

    `shown` says of a plain word whether it is one of them, and `text` names them all: rows are
    drawn, and looked up, many times a second.
    """

    names: tuple[Column, ...]
    text: str = field(init=False, compare=False)
    shown: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", ",".join(self.names))
        object.__setattr__(self, "shown", frozenset(map(str, self.names)))

    def __str__(self) -> str:
        return self.text


USUAL = Columns(
    (
        Column.STATE,
        Column.TASK,
        Column.DETAILS,
        Column.QUEUE,
        Column.WORKER,
        Column.SEEN,
        Column.WAITED,
        Column.RAN,
    )
)
"""What fits a laptop's window and answers most questions: what, how, where, when, how long."""


def parse_columns(values: Iterable[str]) -> Columns:
    """The columns asked for, with commas or by repeating the parameter; the usual ones where none
    is. Raises BadInput."""
    asked = {part.strip().lower() for value in values for part in value.split(",")} - {""}
    if not asked:
        return USUAL
    unknown = sorted(asked - set(Column))
    if unknown:
        wrong = f"{unknown[0][:40]!r} is not one of {', '.join(Column)}"
        raise BadInput("There is no such column.", (FieldError(("query", "columns"), wrong),))
    return Columns(tuple(one for one in Column if one in asked or one is Column.TASK))
