"""The plain way to offer a Celery task over HTTP: a FastAPI endpoint that calls `delay`.

`PLAIN_ENDPOINT` picks a `def` endpoint, which FastAPI runs in a thread, or an `async def` one,
which blocks the event loop meanwhile; `PLAIN_SENT_EVENTS` switches Celery's task-sent events.
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel

from worker.tasks import add
from worker.tasks import app as celery_app

celery_app.conf.task_send_sent_event = os.environ.get("PLAIN_SENT_EVENTS") == "yes"
app = FastAPI()


class Add(BaseModel):
    """Two numbers."""

    x: float
    y: float


if os.environ.get("PLAIN_ENDPOINT") == "async":

    @app.post("/tasks/add", status_code=202)
    async def submit(body: Add) -> dict[str, str]:
        """Sends it on the event loop."""
        return {"task_id": add.delay(body.x, body.y).id, "state": "PENDING"}

else:

    @app.post("/tasks/add", status_code=202)
    def submit(body: Add) -> dict[str, str]:
        """Sends it in a thread."""
        return {"task_id": add.delay(body.x, body.y).id, "state": "PENDING"}
