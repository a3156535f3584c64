"""A plain Celery application with one task for each thing that a task can do.

It is configured by the environment: `BROKER_URL`, and `STOCK_SETTINGS`, a JSON object of
Celery settings. It runs on every Celery from 5.4 on, so it uses nothing newer.
"""

import json
import os
import time

from celery import Celery, Task
from celery.exceptions import Ignore, Reject

app = Celery("stock", broker=os.environ["BROKER_URL"])
app.conf.update(
    result_backend=os.environ.get("RESULT_URL", os.environ["BROKER_URL"]),
    task_send_sent_event=True,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    **json.loads(os.environ.get("STOCK_SETTINGS", "{}")),
)


@app.task(name="stock.add")
def add(x: float, y: float = 0) -> float:
    return x + y


@app.task(name="stock.fail")
def fail(message: str) -> None:
    raise ValueError(message)


@app.task(name="stock.sleep")
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@app.task(name="stock.mark", bind=True)
def mark(self: Task, seconds: float = 0) -> None:
    """Leaves a mark on the broker that it ran."""
    with self.app.connection_for_write() as connection:
        connection.default_channel.client.rpush("ran", self.request.id)
    time.sleep(seconds)


@app.task(name="stock.retry", bind=True, max_retries=3)
def retry(self: Task) -> int:
    if self.request.retries < 1:
        raise self.retry(exc=OSError("not yet"), countdown=0)
    return int(self.request.retries)


@app.task(name="stock.progress", bind=True)
def progress(self: Task) -> str:
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2, "message": "half"})
    self.update_state(state="UPLOADING", meta={"current": 2, "total": 2})
    self.send_event("task-checked", current=2, total=2, message="all there")
    return "done"


@app.task(name="stock.ignore", ignore_result=True)
def ignore() -> None:
    raise Ignore


@app.task(name="stock.reject", acks_late=True)
def reject() -> None:
    raise Reject("no", requeue=False)


@app.task(name="stock.die", acks_late=False)
def die() -> None:
    os._exit(7)


@app.task(name="stock.nan")
def nan() -> list[float]:
    return [1.0, float("nan")]


@app.task(name="stock.parent", bind=True)
def parent(self: Task) -> str:
    return str(add.delay(1, 2).id)
