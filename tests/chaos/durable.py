"""Our own worker with the suite's tasks: workers of "durable mode"."""

import tests.chaos.tasks  # noqa: F401
from worker.celery_app import app

__all__ = ["app"]
