"""A bound for the soft shutdown, which can otherwise hang for ever.

Where the broker has gone at the same moment, Celery 5.7 can wait in its shutdown for a heartbeat
that another thread tries to send until the broker is back. A supervisor that kills would end it,
but there isn't always one.
"""

import os
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_shutting_down

GRACE = 5.0
"""Seconds after the soft shutdown's own, for messages to be given back and connections closed."""
FAILED = 1


def install(app: "Celery[Any]") -> None:
    """Has every worker of this process end within its soft shutdown's seconds and GRACE."""

    def bound(how: str, **_: object) -> None:
        if how == "Warm":
            return  # waits for running tasks however long they take: that is its purpose
        # Celery has soft shutdowns from 5.5 on.
        limit = float(app.conf.get("worker_soft_shutdown_timeout") or 0) + GRACE
        last_word = threading.Timer(limit, os._exit, (FAILED,))
        last_word.daemon = True
        last_word.start()

    worker_shutting_down.connect(bound, weak=False)
