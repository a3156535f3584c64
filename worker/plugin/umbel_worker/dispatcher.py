"""Celery's event dispatcher and its shortcuts, with the post in place of a kombu producer."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from celery import Celery
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import Event, group_from
from celery.utils.time import utcoffset

from umbel_worker import story
from umbel_worker.post import Post

log = logging.getLogger("umbel_worker")


class StreamDispatcher(EventDispatcher):
    """Announces events as Celery's own does, and never waits for Redis."""

    app: Any
    clock: Any
    pid: int
    buffer_group: Collection[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.post: Post = self.app.events.post

    def send(
        self,
        type: str,
        blind: bool = False,
        utcoffset: Any = utcoffset,
        retry: bool = False,
        retry_policy: Any = None,
        Event: Any = Event,  # noqa: N803
        **fields: Any,
    ) -> None:
        """Announces an event, unless events of its group are off. Returns at once."""
        group = group_from(type)
        if not self.enabled or (self.groups and group not in self.groups):
            return
        if type == "task-received":
            fields.update(story.of_received(self.app, fields.get("uuid")))
        batched = group in self.buffer_group
        clock = None if blind and not batched else self.clock.forward()
        event = Event(
            type,
            hostname=self.hostname,
            utcoffset=utcoffset(),
            pid=self.pid,
            clock=clock,
            **fields,
        )
        routing_key = f"{group}.multi" if batched else type.replace("-", ".")
        self.post.send(self.hostname, routing_key, batched, event)

    def publish(
        self,
        type: str,
        fields: dict[str, Any],
        producer: Any,
        blind: bool = False,
        Event: Any = Event,  # noqa: N803
        **_: Any,
    ) -> None:
        """Announces an event of a task that was just sent. `producer` is not needed for it."""
        if type == "task-sent":
            fields = {**fields, **story.of_sent(fields.get("uuid"))}
        event = Event(
            type,
            hostname=self.hostname,
            utcoffset=utcoffset(),
            pid=self.pid,
            clock=None if blind else self.clock.forward(),
            **fields,
        )
        self.post.send(self.hostname, type.replace("-", "."), False, event)

    def flush(self, errors: bool = True, groups: bool = True) -> None:
        """Nothing waits in here: the post sends by itself."""

    def extend_buffer(self, other: EventDispatcher) -> None:
        """What the dispatcher before this one announced is in the same post."""

    def disable(self) -> None:
        """The connection is gone. Tasks that still run have this one, and go on to announce:
        until Celery 5.7 nobody tells them of the dispatcher that takes its place."""
        if self.enabled:
            super().disable()
            self.enabled = True


class StreamEvents(Events):
    """`app.events` of an application that has the plugin."""

    app: Any
    dispatcher_cls: Any = StreamDispatcher

    def __init__(self, app: "Celery[Any]", post: Post) -> None:
        super().__init__(app)
        self.post = post

    @cached_property
    def _unconnected(self) -> Any:
        """What a dispatcher asks for the kind of broker; never connected."""
        return self.app.connection_for_write()

    @cached_property
    def Dispatcher(self) -> Any:  # noqa: N802
        """Celery's own where the broker is no Redis: its events have another way there."""
        if self._unconnected.transport.driver_type != "redis":
            log.warning("The broker is no Redis: events are not kept, only published")
            self.dispatcher_cls = Events.dispatcher_cls
        return self.app.subclass_with_self(self.dispatcher_cls, reverse="events.Dispatcher")

    @contextmanager
    def default_dispatcher(
        self, hostname: str | None = None, enabled: bool = True, buffer_while_offline: bool = False
    ) -> Iterator[EventDispatcher]:
        """For `Task.send_event`; Celery's waits for a connection to the broker here."""
        if issubclass(self.Dispatcher, StreamDispatcher):
            yield self.Dispatcher(self._unconnected, hostname=hostname, enabled=enabled)
        else:
            with super().default_dispatcher(hostname, enabled, buffer_while_offline) as stock:
                yield stock
