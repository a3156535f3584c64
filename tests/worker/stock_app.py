"""A Celery application as the documentation shows it, with nothing of ours."""

import os

from celery import Celery

url = os.environ["CELERY_BROKER_URL"]
app = Celery("stock", broker=url, backend=url)


@app.task
def add(x: int, y: int) -> int:
    return x + y
