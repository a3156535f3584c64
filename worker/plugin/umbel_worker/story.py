"""What Celery knows of a task when it announces it, and does not say: queue, priority, group.

Two signals come right before the events, in the same thread, with all of it in hand.
"""

import json
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, task_received

LONGEST_BODY = 1_048_576
"""Bytes of a message's body that is parsed for the chord it belongs to."""
NO_CHORD = ('"chord": null}]', '"chord":null}]')

Facts = dict[str, Any]


class _Heard(threading.local):
    """What this thread was told of last, until its event takes it."""

    request: Callable[[], Any] = staticmethod(lambda: None)
    sent_id: str | None = None
    sent: Facts = {}  # noqa: RUF012 - replaced, never changed


_heard = _Heard()


def _on_received(request: Any, **_: object) -> None:
    # Where task events are off nobody takes it, and it is not to stay for that.
    _heard.request = weakref.ref(request)


def _on_publish(headers: Any, body: Any, properties: Any, **_: object) -> None:
    if not isinstance(headers, Mapping):  # None with message protocol 1
        return
    embed = body[2] if isinstance(body, list | tuple) and len(body) == 3 else None
    _heard.sent_id = headers.get("id")
    _heard.sent = _known(
        priority=(properties or {}).get("priority"),
        group=headers.get("group"),
        group_index=headers.get("group_index"),
        chord=_chord(embed),
    )


def listen() -> None:
    """Has Celery tell; more than once makes no difference."""
    task_received.connect(_on_received, dispatch_uid="umbel_worker", weak=False)
    before_task_publish.connect(_on_publish, dispatch_uid="umbel_worker", weak=False)


def of_received(app: "Celery[Any]", task_id: object) -> Facts:
    """What to add to `task-received`; nothing where it is not known."""
    request = _heard.request()
    if request is None or request.id != task_id:
        return {}
    delivery: Mapping[str, Any] = request.delivery_info or {}
    headers: Mapping[str, Any] = request.request_dict or {}
    return _known(
        queue=_queue(app, delivery.get("exchange"), delivery.get("routing_key")),
        priority=delivery.get("priority"),
        redelivered=bool(delivery.get("redelivered")),
        group=headers.get("group"),
        group_index=headers.get("group_index"),
        chord=_chord_of_body(request.body) if headers.get("group") else None,
    )


def of_sent(task_id: object) -> Facts:
    """What to add to `task-sent`; nothing where it is not known."""
    return _heard.sent if _heard.sent_id == task_id else {}


def _known(**facts: Any) -> Facts:
    return {name: value for name, value in facts.items() if value is not None}


def _queue(app: "Celery[Any]", exchange: Any, routing_key: Any) -> str | None:
    """The queue that a message came from; None where two queues of the exchange may have had it."""
    if not exchange:
        return routing_key or None
    names = [
        name
        for name, queue in app.amqp.queues.items()
        if queue.exchange.name == exchange and queue.routing_key == routing_key
    ]
    return names[0] if len(names) == 1 else None


def _chord_of_body(body: Any) -> str | None:
    if isinstance(body, memoryview | bytes | bytearray):
        body = bytes(body).decode("utf-8", "replace")
    if not isinstance(body, str) or body.endswith(NO_CHORD) or len(body) > LONGEST_BODY:
        return None
    try:
        return _chord(json.loads(body)[2])
    except (ValueError, LookupError, TypeError):  # another serializer, or compressed
        return None


def _chord(embed: Any) -> str | None:
    """The id of the task that runs when the whole group has ended."""
    try:
        found = embed["chord"]["options"]["task_id"]
    except (LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None
