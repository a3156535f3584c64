"""A task that does nothing; with the plugin where the environment says WITH_PLUGIN."""

import os

from celery import Celery

import umbel_worker

app = Celery("noop", broker=os.environ["CELERY_BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True
if os.environ.get("WITH_PLUGIN"):
    umbel_worker.install(app)


@app.task(name="noop", ignore_result=True)
def noop() -> None:
    """Ends at once."""
