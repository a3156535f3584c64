"""A plain Celery application that has never heard of Umbel: workers of "stock mode"."""

import json
import os

from celery import Celery

app = Celery("stock", broker=os.environ["CELERY_BROKER_URL"], include=["tests.chaos.tasks"])
app.conf.update(
    result_backend=os.environ["CELERY_BROKER_URL"],
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_hijack_root_logger=False,
    broker_transport_options=json.loads(os.environ["CHAOS_TRANSPORT_OPTIONS"]),
)
