"""How tests of the worker send tasks, look at results, and ask workers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery

from tests.support import end


@contextmanager
def sending(url: str) -> Iterator[Celery]:
    """An application that knows the names of the tasks and nothing else of the worker."""
    app = Celery("sender", broker=url, backend=url)
    try:
        yield app
    finally:
        end(app)


def stored(url: str, task_id: str) -> dict[str, Any]:
    """What the result backend holds for a task; empty if nothing."""
    with redis.Redis.from_url(url) as client:
        text = client.get(f"celery-task-meta-{task_id}")
    return json.loads(text) if text else {}


def unacknowledged(url: str) -> int:
    """Messages that workers hold."""
    with redis.Redis.from_url(url) as client:
        return int(client.hlen("unacked"))


def keys(url: str) -> set[str]:
    """Every key there is."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return set(client.keys("*"))
