"""Celery's events as they are on the wire, each with the domain's event that it means.

One class a type of event, with the fields that we read and the types that they must have.
msgspec decodes a body straight into them. The wire is described in docs/protocol.md.
"""

from typing import ClassVar

import msgspec

from app.broker import texts
from app.domain import events as domain

ABSENT = msgspec.Raw(b"")


class Envelope(msgspec.Struct, gc=False):
    """kombu's message around a body, which it writes in base64."""

    body: bytes
    content_type: str = msgspec.field(name="content-type", default="application/json")
    headers: "Headers | None" = None


class Headers(msgspec.Struct, gc=False):
    """The headers that say how the body is to be read."""

    compression: str | None = None


class WireEvent(msgspec.Struct, tag_field="type", kw_only=True, gc=False):
    """What every event has. `timestamp` is in seconds since the epoch, of the sender's clock."""

    hostname: str | None = None
    timestamp: float | None = None

    def event(self, heard_at: float) -> domain.Event:
        """The domain's event. Raises BadInput where it is about nothing that can be named."""
        raise NotImplementedError


class Extra(msgspec.Struct, gc=False):
    """What Umbel adds to the `task-sent` of its own submissions; stock monitors ignore it."""

    args: msgspec.Raw = ABSENT
    kwargs: msgspec.Raw = ABSENT
    retry_of: str | None = None
    priority: int | None = None


class Described(WireEvent, kw_only=True, gc=False):
    """What `task-sent` and `task-received` say of the task itself."""

    uuid: str
    name: str | None = None
    args: str | None = None
    kwargs: str | None = None
    retries: int | None = None
    eta: str | float | None = None
    expires: str | float | None = None
    root_id: str | None = None
    parent_id: str | None = None


class Sent(Described, tag="task-sent", kw_only=True, gc=False):
    """A producer's word, published after its message."""

    queue: str | None = None
    umbel: Extra | None = None

    def event(self, heard_at: float) -> domain.TaskSent:
        own = texts.task_id(self.uuid)
        extra = self.umbel
        return domain.TaskSent(
            task_id=own,
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            name=texts.name(self.name),
            args_repr=texts.shorten(self.args, texts.REPR_LIMIT),
            kwargs_repr=texts.shorten(self.kwargs, texts.REPR_LIMIT),
            args=texts.json_text(extra.args) if extra else None,
            kwargs=texts.json_text(extra.kwargs) if extra else None,
            queue=texts.name(self.queue),
            retries=texts.retries(self.retries),
            priority=texts.priority(extra.priority) if extra else None,
            eta=texts.point_in_time(self.eta),
            expires=texts.point_in_time(self.expires),
            root_id=texts.other_id(self.root_id, own),
            parent_id=texts.other_id(self.parent_id, own),
            retry_of=texts.other_id(extra.retry_of, own) if extra else None,
        )


class Received(Described, tag="task-received", kw_only=True, gc=False):
    """A worker has the message."""

    def event(self, heard_at: float) -> domain.TaskReceived:
        own = texts.task_id(self.uuid)
        return domain.TaskReceived(
            task_id=own,
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            name=texts.name(self.name),
            args_repr=texts.shorten(self.args, texts.REPR_LIMIT),
            kwargs_repr=texts.shorten(self.kwargs, texts.REPR_LIMIT),
            retries=texts.retries(self.retries),
            eta=texts.point_in_time(self.eta),
            expires=texts.point_in_time(self.expires),
            root_id=texts.other_id(self.root_id, own),
            parent_id=texts.other_id(self.parent_id, own),
        )


class Started(WireEvent, tag="task-started", kw_only=True, gc=False):
    """Stamped in the worker's main loop, so it can be later than the end."""

    uuid: str

    def event(self, heard_at: float) -> domain.TaskStarted:
        return domain.TaskStarted(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
        )


class Succeeded(WireEvent, tag="task-succeeded", kw_only=True, gc=False):
    """`result` is a repr that Celery has shortened."""

    uuid: str
    result: str | None = None
    runtime: float | None = None

    def event(self, heard_at: float) -> domain.TaskSucceeded:
        return domain.TaskSucceeded(
            task_id=texts.task_id(self.uuid),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            worker=texts.name(self.hostname),
            result_repr=texts.shorten(self.result, texts.REPR_LIMIT),
            runtime=texts.duration(self.runtime),
        )


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


class Heartbeat(WireEvent, tag="worker-heartbeat", kw_only=True, gc=False):
    """A worker is there. `freq` is in seconds, `processed` counts since it started."""

    pid: int | None = None
    freq: float | None = None
    active: int | None = None
    processed: int | None = None
    loadavg: list[float] | None = None
    sw_ident: str | None = None
    sw_ver: str | None = None
    sw_sys: str | None = None

    online: ClassVar[bool] = False

    def event(self, heard_at: float) -> domain.WorkerHeartbeat:
        software = " ".join(part for part in (self.sw_ident, self.sw_ver, self.sw_sys) if part)
        return domain.WorkerHeartbeat(
            worker=texts.worker(self.hostname),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            online=self.online,
            pid=texts.count(self.pid),
            active=texts.count(self.active),
            processed=texts.count(self.processed),
            loadavg=tuple(load for load in (self.loadavg or ())[:3] if 0 <= load < 1e6),
            frequency=texts.duration(self.freq),
            software=texts.name(software),
        )


class Online(Heartbeat, tag="worker-online", kw_only=True, gc=False):
    """The first word of a worker, also after it has lost its connection."""

    online = True


class Offline(WireEvent, tag="worker-offline", kw_only=True, gc=False):
    """It shuts down; tasks that it runs can still end after this."""

    def event(self, heard_at: float) -> domain.WorkerOffline:
        return domain.WorkerOffline(
            worker=texts.worker(self.hostname),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
        )


AnyEvent = (
    Sent
    | Received
    | Started
    | Succeeded
    | Failed
    | Retried
    | Rejected
    | Revoked
    | Cancelled
    | Heartbeat
    | Online
    | Offline
)
KINDS: dict[str, type[WireEvent]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__
}

decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_body = msgspec.json.Decoder(AnyEvent | list[AnyEvent]).decode


def named_exception(event: Unsuccessful) -> str | None:
    """The exception's text, from the traceback where billiard's wrapper hides it."""
    if event.exception and event.exception.startswith("ExceptionWithTraceback") and event.traceback:
        lines = event.traceback.rstrip(' \n"').splitlines()
        return lines[-1].strip() if lines else event.exception
    return event.exception
