"""Celery's task events as they are on the wire, each with the domain's event that it means.

One class a type of event, with the fields that we read and the types that they must have.
msgspec decodes a body straight into them. The wire is described in docs/protocol.md.

What every task has is built by the order of its fields, as naming them takes twice as long; and
what an event does not have, or has as it should be, is not asked about, as a call costs more than
a comparison.
"""

from typing import ClassVar

import msgspec

from app.broker import texts
from app.broker.envelope import ABSENT, WireEvent
from app.broker.texts import CLOCK_AHEAD, ID_LIMIT, LAST_TIME, REPR_LIMIT, known_name
from app.domain import events as domain


class Extra(msgspec.Struct, gc=False):
    """What Umbel adds to the `task-sent` of its own submissions; stock monitors ignore it."""

    args: msgspec.Raw = ABSENT
    kwargs: msgspec.Raw = ABSENT
    retry_of: str | None = None
    priority: int | None = None


class Described(WireEvent, kw_only=True, gc=False):
    """What `task-sent` and `task-received` say of the task itself.

    The last four only Umbel's plugin says; `chord` is the id of the task that a chord ends in.
    """

    uuid: str
    name: str | None = None
    args: str | None = None
    kwargs: str | None = None
    retries: int | None = None
    eta: str | float | None = None
    expires: str | float | None = None
    root_id: str | None = None
    parent_id: str | None = None
    queue: str | None = None
    priority: int | None = None
    group: str | None = None
    chord: str | None = None


class Sent(Described, tag="task-sent", kw_only=True, gc=False):
    """A producer's word, published after its message; `queue` stock producers say too."""

    umbel: Extra | None = None

    def event(self, heard_at: float) -> domain.TaskSent:
        own, at, args, kwargs = self.uuid, self.timestamp, self.args, self.kwargs
        if not (own and len(own) <= ID_LIMIT and own.isprintable()):
            own = texts.task_id(own)
        if at is None or not 0 < at < heard_at + CLOCK_AHEAD:
            at = heard_at
        if args and not (len(args) <= REPR_LIMIT and args.isprintable()):
            args = texts.shorten(args, REPR_LIMIT)
        if kwargs and not (len(kwargs) <= REPR_LIMIT and kwargs.isprintable()):
            kwargs = texts.shorten(kwargs, REPR_LIMIT)
        extra = self.umbel
        priority = extra.priority if extra else self.priority
        return domain.TaskSent(
            own,
            at,
            heard_at,
            known_name(self.name),
            args,
            kwargs,
            texts.json_text(extra.args) if extra else None,
            texts.json_text(extra.kwargs) if extra else None,
            known_name(self.queue),
            texts.retries(self.retries) if self.retries else 0,
            None if priority is None else texts.priority(priority),
            None if self.eta is None else texts.point_in_time(self.eta),
            None if self.expires is None else texts.point_in_time(self.expires),
            own if self.root_id == own else texts.root_id(self.root_id),
            None if self.parent_id is None else texts.other_id(self.parent_id, own),
            None if self.group is None else texts.other_id(self.group, own),
            None if self.chord is None else texts.other_id(self.chord, own),
            texts.other_id(extra.retry_of, own) if extra else None,
        )


class Received(Described, tag="task-received", kw_only=True, gc=False):
    """A worker has the message; `redelivered` too only the plugin says."""

    redelivered: bool | None = None

    def event(self, heard_at: float) -> domain.TaskReceived:
        own, at, args, kwargs = self.uuid, self.timestamp, self.args, self.kwargs
        if not (own and len(own) <= ID_LIMIT and own.isprintable()):
            own = texts.task_id(own)
        if at is None or not 0 < at < heard_at + CLOCK_AHEAD:
            at = heard_at
        if args and not (len(args) <= REPR_LIMIT and args.isprintable()):
            args = texts.shorten(args, REPR_LIMIT)
        if kwargs and not (len(kwargs) <= REPR_LIMIT and kwargs.isprintable()):
            kwargs = texts.shorten(kwargs, REPR_LIMIT)
        return domain.TaskReceived(
            own,
            at,
            heard_at,
            known_name(self.hostname),
            known_name(self.name),
            args,
            kwargs,
            texts.retries(self.retries) if self.retries else 0,
            None if self.eta is None else texts.point_in_time(self.eta),
            None if self.expires is None else texts.point_in_time(self.expires),
            own if self.root_id == own else texts.root_id(self.root_id),
            None if self.parent_id is None else texts.other_id(self.parent_id, own),
            known_name(self.queue),
            None if self.priority is None else texts.priority(self.priority),
            None if self.group is None else texts.other_id(self.group, own),
            None if self.chord is None else texts.other_id(self.chord, own),
            self.redelivered,
        )


class Started(WireEvent, tag="task-started", kw_only=True, gc=False):
    """Stamped in the worker's main loop, so it can be later than the end."""

    uuid: str

    def event(self, heard_at: float) -> domain.TaskStarted:
        own, at = self.uuid, self.timestamp
        if not (own and len(own) <= ID_LIMIT and own.isprintable()):
            own = texts.task_id(own)
        if at is None or not 0 < at < heard_at + CLOCK_AHEAD:
            at = heard_at
        return domain.TaskStarted(own, at, heard_at, known_name(self.hostname))


class Succeeded(WireEvent, tag="task-succeeded", kw_only=True, gc=False):
    """`result` is a repr that Celery has shortened."""

    uuid: str
    result: str | None = None
    runtime: float | None = None

    def event(self, heard_at: float) -> domain.TaskSucceeded:
        own, at, result, runtime = self.uuid, self.timestamp, self.result, self.runtime
        if not (own and len(own) <= ID_LIMIT and own.isprintable()):
            own = texts.task_id(own)
        if at is None or not 0 < at < heard_at + CLOCK_AHEAD:
            at = heard_at
        if result and not (len(result) <= REPR_LIMIT and result.isprintable()):
            result = texts.shorten(result, REPR_LIMIT)
        if runtime is not None and not 0 <= runtime < LAST_TIME:
            runtime = None
        return domain.TaskSucceeded(own, at, heard_at, known_name(self.hostname), result, runtime)


class Unsuccessful(WireEvent, kw_only=True, gc=False):
    """An attempt that ended with an exception; neither text is shortened by Celery."""

    uuid: str
    exception: str | None = None
    traceback: str | None = None

    meaning: ClassVar[type[domain.TaskFailed] | type[domain.TaskRetried]]

    def event(self, heard_at: float) -> domain.TaskFailed | domain.TaskRetried:
        return self.meaning(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            exception=texts.shorten(named_exception(self), texts.EXCEPTION_LIMIT),
            traceback=texts.shorten_traceback(self.traceback),
        )


class Failed(Unsuccessful, tag="task-failed", kw_only=True, gc=False):
    """The last attempt."""

    meaning = domain.TaskFailed


class Retried(Unsuccessful, tag="task-retried", kw_only=True, gc=False):
    """It names no attempt, and the next one's `task-received` comes before it."""

    meaning = domain.TaskRetried


class Rejected(WireEvent, tag="task-rejected", kw_only=True, gc=False):
    """Sent only for messages that were not acknowledged yet."""

    uuid: str
    requeue: bool | None = None

    def event(self, heard_at: float) -> domain.TaskRejected:
        return domain.TaskRejected(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            requeue=bool(self.requeue),
        )


class Revoked(WireEvent, tag="task-revoked", kw_only=True, gc=False):
    """`signum` is a number, or a name as somebody has typed it."""

    uuid: str
    terminated: bool | None = None
    signum: int | str | None = None
    expired: bool | None = None

    def event(self, heard_at: float) -> domain.TaskRevoked:
        return domain.TaskRevoked(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            terminated=bool(self.terminated),
            signal=texts.signal_name(self.signum),
            expired=bool(self.expired),
        )


class Cancelled(WireEvent, tag="task-cancelled", kw_only=True, gc=False):
    """Celery 5.7's word for a task that a closing worker lets go of."""

    uuid: str

    def event(self, heard_at: float) -> domain.TaskCancelled:
        return domain.TaskCancelled(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
        )


class Custom(WireEvent, kw_only=True, gc=False):
    """An application's own `task-…` event, sent from inside the task by `Task.send_event`.

    It has no tag of its own: `app.broker.careful` makes it of types that nobody else knows.
    """

    uuid: str
    kind: str
    current: float | None = None
    total: float | None = None
    message: str | None = None

    def event(self, heard_at: float) -> domain.TaskProgressed:
        # The name that Celery's own State gives such a task.
        state = self.kind.removeprefix("task-").upper()
        return domain.TaskProgressed(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            current=texts.amount(self.current),
            total=texts.amount(self.total),
            message=texts.shorten(self.message, texts.REPR_LIMIT),
            custom_state=None if state == "PROGRESS" else texts.name(state),
        )


def named_exception(event: Unsuccessful) -> str | None:
    """The exception's text, from the traceback where billiard's wrapper hides it."""
    if event.exception and event.exception.startswith("ExceptionWithTraceback") and event.traceback:
        lines = event.traceback.rstrip(' \n"').splitlines()
        return lines[-1].strip() if lines else event.exception
    return event.exception
