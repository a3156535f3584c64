"""How often a task is tried again, where whoever sent it says so.

Celery fixes `max_retries` where the task is defined, and a message can't change it. Umbel sends the
number that was asked for in a header of that name; tasks of this class go by it.
"""

from typing import Any

from celery import Task

HEADER = "max_retries"


class RetryingTask(Task):  # type: ignore[type-arg]
    """A task that a message may give another number of retries."""

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Any = None,
        throw: bool = True,
        eta: Any = None,
        countdown: Any = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Celery's `retry`, up to as many times as the message says, if it says so."""
        asked = (self.request.headers or {}).get(HEADER)
        if isinstance(asked, int) and not isinstance(asked, bool) and asked >= 0:
            max_retries = asked
            options["headers"] = {**options.get("headers", {}), HEADER: asked}
        return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
