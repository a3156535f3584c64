"""Revokes that outlive a worker: read from the ledger before the first message is.

A worker keeps the ids of revoked tasks in memory, so one that starts later, or starts again, runs
what was revoked before. Umbel writes each revoke into a hash on the broker's Redis, by task id.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state

from umbel_worker.links import Broker

log = logging.getLogger("umbel_worker")

LEDGER = "umbel:revokes"
PATIENCE = 2.0
"""Seconds that an answer, and all reading together, may take: then the worker starts without."""
PAGE = 1_000
"""Revokes in one answer; Redis serves nobody else while it makes one."""
MOST = state.REVOKES_MAX
"""Celery keeps no more; beyond it, it forgets the oldest."""


def install(app: "Celery[Any]") -> None:
    """Has every worker of this application read the ledger whenever it has connected."""
    app.steps["consumer"].add(Ledger)


class Ledger(bootsteps.StartStopStep):
    """Runs on each new connection, before the first message is read from it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, c: Any) -> None:
        """Adds what is revoked; a Redis that does not answer is logged and changes nothing."""
        broker = Broker(c.app, PATIENCE)
        try:
            count = 0
            for task_id in _task_ids(broker):
                state.revoked.add(task_id)
                count += 1
        except Exception as error:  # whatever it is, the worker starts
            log.warning("The ledger of revokes could not be read: %s", error)
        else:
            if count:
                log.info("%d task(s) are revoked, says the ledger", count)
        finally:
            broker.close()


def _task_ids(broker: Broker) -> Iterator[str]:
    """Ids of the ledger; raises where it cannot be read within the patience."""
    client = broker.client()
    deadline = time.monotonic() + PATIENCE
    cursor, count = 0, 0
    while True:
        page: Any = client.hscan(LEDGER, cursor=cursor, count=PAGE)
        cursor, found = int(page[0]), page[1]
        for task_id in found:
            yield task_id.decode() if isinstance(task_id, bytes) else str(task_id)
        count += len(found)
        if cursor == 0 or count >= MOST:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count:,} were read within {PATIENCE:g} seconds, not all")
