"""What a worker does with the messages it holds when its Redis goes away and comes back.

Celery 5.7.0 dies then: it closes the lost connection, kombu tries to give the held messages back
over it, and the attempt ends in `AttributeError: 'NoneType' object has no attribute 'hostname'`.
Any worker that runs a task with late acknowledgement, or holds one task with an ETA, is affected.
Where it does not die (earlier versions), the messages stay in Redis unseen until the visibility
timeout has passed, here for more than a day.

So the messages are taken off a lost connection before it is closed, and once there is a new one:

- a task that still runs keeps its message, which from then on belongs to the new connection;
- the message of a task that ended meanwhile is acknowledged;
- all others (not started yet, or waiting for their ETA) go back to their queue at once.

It reaches into kombu, so it is installed for the versions that it was tried with only.

`tests/worker/test_reconnect.py` runs a worker without this and expects it to die: when that test
fails, Celery has been repaired, and `docs/worker.md` says what to look at before this can go.
"""

import logging
from collections.abc import Iterator
from typing import Any

from celery import VERSION, Celery, bootsteps
from celery.worker import consumer
from celery.worker.state import active_requests
from kombu.transport import redis, virtual

log = logging.getLogger("umbel_worker")


FROM, BELOW = (5, 6), (5, 8)
"""Versions of Celery that this was tried with, and does what it should. Earlier ones forget after
a reconnect which tasks their processes run, so there is nobody to acknowledge a message."""


def install(app: "Celery[Any]") -> None:
    """Make the workers of this application hold on to their messages, unless it has a consumer
    class of its own. Does nothing, and says so, with a Celery that this was not tried with."""
    if not FROM <= VERSION[:2] < BELOW:
        log.warning("Held messages are not looked after with Celery %s.%s", *VERSION[:2])
        return
    app.add_defaults(lambda: {"worker_consumer": f"{__name__}:{Consumer.__name__}"})
    app.steps["consumer"].add(TakeOver)


class Gap:
    """Stands in for the channel of a message while there is no connection."""

    no_ack_consumers = None

    def __init__(self) -> None:
        self.held: dict[str, virtual.Message] = {}
        self.ended: set[str] = set()

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The task has ended: to be said as soon as there is somebody to say it to."""
        self.ended.add(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Not wanted any more, or to go back, which is what happens to held messages anyway."""
        if not requeue:
            self.ended.add(delivery_tag)

    def take(self, channel: redis.Channel) -> None:
        """Hold all messages that `channel` has delivered and nobody has acknowledged."""
        qos: Any = channel.qos  # kombu has no public way to its open deliveries
        qos._flush()  # those acknowledged on their way out
        for tag, message in qos._delivered.items():
            message.channel = self
            self.held[tag] = message
        qos._delivered.clear()

    def hand_over(self, channel: redis.Channel, running: frozenset[str]) -> None:
        """Give every held message its place on the new `channel`.

        A connection lost on the way leaves the rest held, for the next one.
        """
        qos: Any = channel.qos
        for tag, message in tuple(self.held.items()):
            if tag in self.ended:
                qos._remove_from_indices(tag).execute()
            elif tag in running:
                message.channel = channel
                # Redis has it among the unacknowledged still: only this process has to know.
                virtual.QoS.append(qos, message, tag)
            else:
                qos.restore_by_tag(tag)
            del self.held[tag]
            self.ended.discard(tag)


class Consumer(consumer.Consumer):
    """Celery's, which keeps its messages when it loses its connection."""

    task_consumer: Any  # set by Celery's Tasks step, None before it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.gap = Gap()
        super().__init__(*args, **kwargs)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Take the messages to safety, then do as Celery does."""
        channel = getattr(self.task_consumer, "channel", None)
        if isinstance(channel, redis.Channel):
            self.gap.take(channel)
        super().on_connection_error_after_connected(exc)


class TakeOver(bootsteps.StartStopStep):
    """Runs on each new connection, before the first message is read from it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, c: consumer.Consumer) -> None:
        """Hand over what was held when the connection before this one was lost."""
        if isinstance(c, Consumer) and (count := len(c.gap.held)):
            c.gap.hand_over(c.task_consumer.channel, frozenset(_running()))
            log.warning("Connected again: took care of %d message(s) held since then", count)


def _running() -> Iterator[str]:
    return (request.message.delivery_tag for request in tuple(active_requests))
