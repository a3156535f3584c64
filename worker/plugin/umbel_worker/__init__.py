"""Celery events that nobody misses: `umbel_worker.install(app)`.

They are published as ever, and appended to a capped Redis Stream as well, enriched and numbered.
"""

import os
from typing import Any

from celery import Celery
from celery.exceptions import ImproperlyConfigured

import umbel_worker.catalog
import umbel_worker.reconnect
import umbel_worker.revokes
import umbel_worker.shutdown
from umbel_worker import story
from umbel_worker.dispatcher import StreamEvents
from umbel_worker.post import Post

__all__ = ["install"]

EVENTS_BYTES = 128 * 1_048_576
"""What the stream takes of Redis by default: about half a million events."""


def install(
    app: "Celery[Any]",
    *,
    redis_url: str | None = None,
    events_bytes: int | None = None,
    catalog: bool = True,
    revokes: bool = True,
    keep_messages: bool = False,
    bound_shutdown: bool = False,
) -> None:
    """Makes this application's events durable, in workers and wherever it sends tasks.

    `redis_url`: the Redis that the stream is on; by default UMBEL_REDIS_URL, else the broker.
    `events_bytes`: what the stream may take of it; by default UMBEL_EVENTS_BYTES, else 128 MiB.
    `catalog`: workers tell their tasks' documentation and arguments, when asked.
    `revokes`: workers know from their start what was revoked before.
    `keep_messages`: workers survive a restart of Redis with the messages that they hold.
    `bound_shutdown`: a soft or cold shutdown ends also where the broker is gone.

    Call it before the application is used. Raises ImproperlyConfigured for a bad number of bytes.
    """
    if redis_url is None:
        redis_url = os.environ.get("UMBEL_REDIS_URL", "")
    if events_bytes is None:
        events_bytes = _bytes(os.environ.get("UMBEL_EVENTS_BYTES"))
    app.events = StreamEvents(app, Post(app, redis_url, events_bytes))  # type: ignore[misc]
    # As defaults: an application that says no to events in its own configuration has none.
    app.add_defaults(lambda: {"worker_send_task_events": True, "task_send_sent_event": True})
    story.listen()
    if catalog:
        umbel_worker.catalog.install()
    if revokes:
        umbel_worker.revokes.install(app)
    if keep_messages:
        umbel_worker.reconnect.install(app)
    if bound_shutdown:
        umbel_worker.shutdown.install(app)


def _bytes(text: str | None) -> int:
    if not text:
        return EVENTS_BYTES
    if not text.isdecimal() or int(text) == 0:
        raise ImproperlyConfigured(f"UMBEL_EVENTS_BYTES is {text!r}; it has to be a number above 0")
    return int(text)
