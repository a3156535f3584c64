"""The Celery application: `celery -A worker.celery_app worker` runs it."""

import os
import sys

from celery import Celery
from celery.exceptions import ImproperlyConfigured

import umbel_worker
from worker import settings
from worker.retries import RetryingTask

app = Celery("worker", include=["worker.tasks"], task_cls=RetryingTask)
try:
    app.conf.update(settings.configuration(settings.read(os.environ)))
except ImproperlyConfigured as error:
    sys.exit(str(error))
umbel_worker.install(app, keep_messages=True, bound_shutdown=True)
