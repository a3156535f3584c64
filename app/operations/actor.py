"""Who acts, and whether they may."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What can be done to tasks, charts and lists. The values stand in the audit and in pages."""

    SUBMIT = "submit"
    SUBMIT_BATCH = "submit batch"
    RETRY = "retry"
    REVOKE = "revoke"
    TERMINATE = "terminate"
    MARK = "mark"
    UNMARK = "unmark"
    SAVE_VIEW = "save view"
    REMOVE_VIEW = "remove view"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program, and the address that they come from where one is known."""

    name: str
    address: str | None = None


def may(actor: Actor, action: Action) -> bool:
    """Whether this actor may do that. Everybody who can reach this machine may, without a login."""
    return actor.name != "" and isinstance(action, Action)
