"""Messages as Celery publishes them, made by hand for the cases that no worker will play."""

import base64
import json
from collections import Counter

from app.broker.subscription import Heard
from app.broker.translate import Translation, translate
from app.broker.transport import Transport
from app.domain.events import Event

HEARD_AT = 1_795_373_052.5
TRANSPORT = Transport.from_options("redis://h/0")


def envelope(body: object, **more: object) -> bytes:
    """kombu's message around a body; bytes are taken as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = {
        "body": base64.b64encode(raw).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "w1@vm"},
        "properties": {"body_encoding": "base64", "priority": 0},
        **more,
    }
    return json.dumps(message).encode()


def event(kind: str, **fields: object) -> dict[str, object]:
    """An event's body with what every event has."""
    common = {"hostname": "w1@vm", "utcoffset": 0, "pid": 9, "clock": 1, "timestamp": HEARD_AT - 1}
    return {**common, "type": kind, **fields}


def task_event(kind: str, **fields: object) -> dict[str, object]:
    return event(kind, **{"uuid": "t1", **fields})


def heard(payload: bytes, channel: str = "/0.celeryev/task.multi") -> Translation:
    """What one published message is translated to."""
    return translate([Heard(channel.encode(), payload, HEARD_AT)], TRANSPORT)


def translated(body: object, **more: object) -> Event:
    """The one event that a body is, translated without a complaint."""
    found = heard(envelope(body, **more))
    assert found.reasons == Counter()
    assert len(found.events) == 1
    return found.events[0]


def refused(body: object, **more: object) -> dict[str, int]:
    """Why a body is no event at all."""
    found = heard(envelope(body, **more))
    assert found.events == []
    assert found.malformed == found.reasons.total()
    return dict(found.reasons)


def result(task_id: str = "t1", **document: object) -> Translation:
    """What a stored result is translated to."""
    payload = json.dumps({"status": "SUCCESS", "task_id": task_id, **document}).encode()
    return heard(payload, f"celery-task-meta-{task_id}")
