"""A fleet that does not exist: what so many workers would publish while they run small tasks."""

import base64
import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from hiredis import pack_command

from benchmarks.recording import publish

Event = dict[str, Any]
HEARTBEAT_SECONDS = 2.0
"""Between two heartbeats of a worker, as Celery has it."""
TOGETHER = 0.02
"""Seconds of which the worker plugin writes all events in one entry."""
KINDS = ("task-sent", "task-received", "task-started", "task-succeeded")
"""Four events a task."""
STREAM = b"umbel:events"


def events(tasks: int, rate: float, workers: int) -> list[Event]:
    """All that is said in order of time, heartbeats included, from now on and at so many events
    of tasks a second."""
    began, step = time.time(), 1 / rate
    said = [event for task in range(tasks) for event in _life(task, workers, began, step)]
    lasts = tasks * len(KINDS) * step
    for number in range(workers):
        at = HEARTBEAT_SECONDS * number / workers
        while at < lasts:
            said.append(_heartbeat(number, began + at))
            at += HEARTBEAT_SECONDS
    return sorted(said, key=lambda event: float(event["timestamp"]))


def published(said: list[Event]) -> list[bytes]:
    """One PUBLISH for each, as stock workers with little to say do it."""
    return [_message(event) for event in said]


def streamed(said: list[Event]) -> list[bytes]:
    """An entry for what a worker said within a moment, as the plugin writes them; heartbeats are
    published all the same."""
    counted: Counter[str] = Counter()
    together: dict[tuple[int, str], list[Event]] = defaultdict(list)
    found: list[tuple[float, bytes]] = []
    for event in said:
        if event["type"] == "worker-heartbeat":
            found.append((event["timestamp"], _message(event)))
        else:
            together[int(event["timestamp"] / TOGETHER), event["hostname"]].append(event)
    for (_, name), group in together.items():
        found.append((group[-1]["timestamp"], _entry(name, counted[name] + 1, group)))
        counted[name] += len(group)
    return [command for _, command in sorted(found, key=lambda each: each[0])]


def _life(task: int, workers: int, began: float, step: float) -> Iterator[Event]:
    task_id = str(uuid.uuid4())
    first = began + task * len(KINDS) * step
    for place, kind in enumerate(KINDS):
        event = _event(kind, f"w{task % workers}@fleet", first + place * step, task_id)
        if place < 2:
            event |= {"name": "app.add", "args": "(1, 2)", "kwargs": "{}", "root_id": task_id}
            event |= {"parent_id": None, "retries": 0, "eta": None, "expires": None}
        if kind == "task-sent":
            event |= {"queue": "celery", "exchange": "", "routing_key": "celery"}
            event["hostname"] = "gen1@producer"
        if kind == "task-succeeded":
            event |= {"result": "3", "runtime": 0.001}
        yield event


def _heartbeat(number: int, at: float) -> Event:
    figures = {"freq": HEARTBEAT_SECONDS, "active": 1, "processed": 1, "loadavg": [0.1, 0.1, 0.1]}
    software = {"sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux"}
    return _event("worker-heartbeat", f"w{number}@fleet", at) | figures | software


def _event(kind: str, hostname: str, at: float, task_id: str = "") -> Event:
    about: Event = {"type": kind, "hostname": hostname, "timestamp": at, "utcoffset": 0}
    return about | {"pid": 1, "clock": 1} | ({"uuid": task_id} if task_id else {})


def _message(event: Event) -> bytes:
    key = event["type"].replace("-", ".")
    body = base64.b64encode(json.dumps(event).encode()).decode()
    envelope = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": event["hostname"]},
        "properties": {
            "delivery_mode": 1,
            "delivery_info": {"exchange": "celeryev", "routing_key": key},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "d",
        },
    }
    return publish(f"/0.celeryev/{key}".encode(), json.dumps(envelope).encode())


def _entry(name: str, first: int, group: list[Event]) -> bytes:
    body = json.dumps(group, separators=(",", ":")).encode()
    fields = [b"p", f"{name}|1|00000001".encode(), b"n", b"%d" % first, b"e", body]
    packed: bytes = pack_command((b"XADD", STREAM, b"MAXLEN", b"~", b"1000000", b"*", *fields))
    return packed
