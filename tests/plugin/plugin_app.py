"""Any Celery application with the plugin's one line.

It is configured by the environment, as `tests/stock/stock_app.py` is, and runs on every Celery from
5.4 on.
"""

import json
import os
import time
from pathlib import Path

from celery import Celery, Task

import umbel_worker

app = Celery("any", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    **json.loads(os.environ.get("SETTINGS", "{}")),
)
umbel_worker.install(app, **json.loads(os.environ.get("INSTALL", "{}")))


@app.task(name="any.add", priority=4)
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(name="any.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="any.tells", bind=True)
def tells(self: Task, count: int) -> None:
    for step in range(count):
        self.send_event("task-step", current=step)


@app.task(name="any.waits", bind=True)
def waits(self: Task, folder: str, count: int) -> None:
    """Says that it runs, waits for the word `go`, announces events, and says that it is done."""
    (Path(folder) / "running").touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.05)
    for step in range(count):
        self.send_event("task-step", current=step)
    (Path(folder) / "done").touch()
