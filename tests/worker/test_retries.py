"""A message can say how often its task is tried again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT, Process
from tests.worker.support import sending

APPLICATION = """
import os
from celery import Celery
from worker.retries import RetryingTask

url = os.environ["CELERY_BROKER_URL"]
app = Celery("flaky", broker=url, backend=url, task_cls=RetryingTask)

@app.task(bind=True, max_retries=3)
def asks(self):
    try:
        raise ValueError(self.request.retries)
    except ValueError as error:
        self.retry(exc=error, countdown=0)

@app.task(bind=True, autoretry_for=(ValueError,), default_retry_delay=0, max_retries=3)
def automatic(self):
    raise ValueError(self.request.retries)
"""


@pytest.mark.parametrize("name", ["flaky.asks", "flaky.automatic"])
def test_a_task_is_retried_as_often_as_its_message_says(
    name: str, redis_url: str, worker: Callable[..., Process], tmp_path: Path
) -> None:
    (tmp_path / "flaky.py").write_text(APPLICATION)
    worker("-c", "1", app="flaky", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    with sending(redis_url) as application:
        for headers, last in (({}, 3), ({"max_retries": 1}, 1), ({"max_retries": 0}, 0)):
            sent = application.send_task(name, headers=headers)
            with pytest.raises(ValueError, match=f"^{last}$"):
                sent.get(timeout=20)
