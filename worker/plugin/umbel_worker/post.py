"""How an application's events leave a process: published for whoever listens, and kept.

One pipeline does both where the stream is on the broker. Where it has a server of its own, each
way has its own thread, so that one server's trouble does not hold up the other way.
"""

import atexit
import os
import threading
import time
import weakref
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown

from umbel_worker.links import Broker, Stream
from umbel_worker.outbox import Numbering
from umbel_worker.routes import Keeping, Publishing, Route
from umbel_worker.sender import Sender
from umbel_worker.wire import event_json

LAST_WORDS = 2.0
"""Seconds that an ending process waits for its events to be gone; then they are lost with it."""


class Post:
    """The events of one application in this process."""

    def __init__(self, app: "Celery[Any]", redis_url: str, events_bytes: int) -> None:
        self._app = app
        self._redis_url = redis_url
        self._events_bytes = events_bytes
        self._forget()
        _posts.add(self)

    def _forget(self) -> None:
        """As new. What was there belongs to the process that this one was forked from."""
        self._setting_up = threading.RLock()
        self._numbering: Numbering | None = None
        self._senders: list[Sender] = []

    def send(self, hostname: str, routing_key: str, batched: bool, event: dict[str, Any]) -> None:
        """Takes an event in, and returns at once whatever Redis does."""
        numbering = self._numbering or self._set_up()
        numbering.add(hostname, routing_key, batched, event_json(event))
        for sender in self._senders:
            sender.wake()

    def flush(self, seconds: float = LAST_WORDS) -> bool:
        """Waits until all events are sent, so many seconds at most; whether they are."""
        deadline = time.monotonic() + seconds
        sent = [sender.flush(deadline - time.monotonic()) for sender in self._senders]
        return all(sent)

    def _set_up(self) -> Numbering:
        with self._setting_up:
            if self._numbering is None:
                routes = self._routes()
                self._senders = [Sender(route.lanes, route.write) for route in routes]
                self._numbering = Numbering([lane for route in routes for lane in route.lanes])
            return self._numbering

    def _routes(self) -> list[Route]:
        broker = Broker(self._app)
        stream = Stream(self._app, broker, self._redis_url)
        publishing = Publishing(broker, self._app.conf.event_exchange)
        keeping = Keeping(stream.key, self._events_bytes)
        if stream.on_broker:
            return [Route(broker.client, publishing, keeping)]
        return [Route(broker.client, publishing, None), Route(stream.client, None, keeping)]


_posts: "weakref.WeakSet[Post]" = weakref.WeakSet()


def _after_fork() -> None:
    for post in tuple(_posts):
        post._forget()


def _flush_all(**_: object) -> None:
    deadline = time.monotonic() + LAST_WORDS
    for post in tuple(_posts):
        post.flush(max(0.0, deadline - time.monotonic()))


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_flush_all)
worker_process_shutdown.connect(_flush_all, weak=False)
