"""The one table of states: what each is called, which icon and colour it has, what it means.

Badges, chips, counts, charts, timelines and legends read it; `static/css/components/states.css`
gives each its colours, and a test holds the two together. States are never told by colour alone:
the word and the icon stand beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.web.language import marked, marked_in, text


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks. `ink` names its colour and `ink`-tint what that stands on, both in
    `static/css/tokens.css`; `icon` is a symbol of `static/icons.svg`."""

    state: str
    icon: str
    ink: str

    @property
    def word(self) -> str:
        """Its name, in the reader's language."""
        return state_word(self.state)

    @property
    def meaning(self) -> str:
        """One sentence for who has not met it yet, in the reader's language."""
        return text(_MEANINGS[self.state])


_INKS = {
    TaskState.PENDING: "waiting",
    TaskState.RECEIVED: "waiting",
    TaskState.STARTED: "running",
    TaskState.PROGRESS: "running",
    TaskState.RETRY: "retry",
    TaskState.SUCCESS: "success",
    TaskState.FAILURE: "failed",
    TaskState.REVOKED: "revoked",
    TaskState.REJECTED: "lost",
    TaskState.LOST: "lost",
}
_WORKER_INKS = {
    WorkerState.ONLINE: "success",
    WorkerState.OFFLINE: "waiting",
    WorkerState.LOST: "lost",
}
TASK_LOOKS: Mapping[str, Look] = {
    state.value: Look(state.value, state.value, _INKS[state]) for state in TaskState
}
"""By the state of a task, in the order in which a task goes through them."""
WORKER_LOOKS: Mapping[str, Look] = {
    state.value: Look(state.value, state.value, _WORKER_INKS[state]) for state in WorkerState
}
LOOKS: Mapping[str, Look] = {**WORKER_LOOKS, **TASK_LOOKS}
"""All of them: a lost worker and a lost task look the same."""
INKS = ("waiting", "scheduled", "running", "retry", "success", "failed", "revoked", "lost")
"""Colours of states. `scheduled` is that of times that are still to come."""
WORDS: Mapping[str, str] = {
    "PENDING": marked_in("state", "Pending"),
    "RECEIVED": marked_in("state", "Received"),
    "STARTED": marked_in("state", "Started"),
    "PROGRESS": marked_in("state", "Progress"),
    "RETRY": marked_in("state", "Retry"),
    "SUCCESS": marked_in("state", "Success"),
    "FAILURE": marked_in("state", "Failure"),
    "REVOKED": marked_in("state", "Revoked"),
    "REJECTED": marked_in("state", "Rejected"),
    "LOST": marked_in("state", "Lost"),
    "ONLINE": marked_in("state", "Online"),
    "OFFLINE": marked_in("state", "Offline"),
}
_MEANINGS: Mapping[str, str] = {
    "PENDING": marked("Sent; no worker has said yet that it has it."),
    "RECEIVED": marked("A worker has taken it and will run it when a process is free."),
    "STARTED": marked("A worker runs it."),
    "PROGRESS": marked("A worker runs it, and it says how far it is."),
    "RETRY": marked("It failed, and a worker will run it again by itself."),
    "SUCCESS": marked("It ended as it should."),
    "FAILURE": marked("It raised an error, and will not run again by itself."),
    "REVOKED": marked("Somebody called it off, or it expired."),
    "REJECTED": marked("A worker refused its message."),
    "LOST": marked("Its worker is gone, or the broker no longer has its message."),
    "ONLINE": marked("It sends heartbeats."),
    "OFFLINE": marked("It said goodbye."),
}


def state_word(state: str) -> str:
    """A state as people say it; one that is not known here as it is."""
    return text(WORDS[state]) if state in WORDS else state.capitalize()


def look_of(state: str) -> Look:
    """How a state looks; one that nobody knows looks as if it waited."""
    return LOOKS.get(state) or Look(state, TaskState.PENDING.value, "waiting")


def task_looks() -> Iterator[Look]:
    """Every state of a task, for legends."""
    return iter(TASK_LOOKS.values())
