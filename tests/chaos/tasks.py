"""The tasks of the fault suite: each writes down what it does, where no fault can reach it.

Imported by the workers' applications, `durable.py` and `stock.py`, so it uses Celery alone.
"""

import json
import os
import time

from celery import Task, shared_task

from tests.chaos import LOG


def note(task: Task, what: str) -> None:
    """One line, in one write: lines of several processes never mix."""
    request = task.request
    line = {
        "id": request.id,
        "attempt": request.retries,
        "what": what,
        "at": time.monotonic(),
        "pid": os.getpid(),
        "again": bool((request.delivery_info or {}).get("redelivered")),
    }
    file = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


@shared_task(name="chaos.quick", bind=True)
def quick(self: Task, number: int) -> int:
    """Succeeds at once."""
    note(self, "start")
    note(self, "done")
    return number * 2


@shared_task(name="chaos.silent", bind=True, ignore_result=True)
def silent(self: Task, number: int) -> None:
    """Succeeds, and the result backend never hears of it."""
    note(self, "start")
    note(self, "done")


@shared_task(name="chaos.fails", bind=True)
def fails(self: Task, number: int) -> None:
    """Fails at once."""
    note(self, "start")
    note(self, "failed")
    raise ValueError(f"number {number} was not to be")


@shared_task(name="chaos.retries", bind=True, max_retries=3)
def retries(self: Task, number: int) -> int:
    """Succeeds the second time."""
    note(self, "start")
    if self.request.retries < 1:
        note(self, "retry")
        raise self.retry(exc=OSError("not yet"), countdown=0.2)
    note(self, "done")
    return number * 2


@shared_task(name="chaos.sleeps", bind=True)
def sleeps(self: Task, number: int, seconds: float) -> int:
    """Takes its time."""
    note(self, "start")
    time.sleep(seconds)
    note(self, "done")
    return number * 2
