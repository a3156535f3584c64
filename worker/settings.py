"""What the worker reads from its environment, and the Celery configuration that follows from it.

The names are those of the API's settings, so that one environment serves both. Everything here is
explained for operators in `docs/worker.md`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery.exceptions import ImproperlyConfigured

DAY = 86_400
LONGEST_TASK = DAY
"""Seconds that a task may run: `worker.tasks.long_task` may sleep for a day. What follows leaves
room for it."""
TIDY_UP = 60
"""Seconds from the longest task to the soft time limit, and from there to the hard one: a task
that is told to end may tidy up, then its process is killed."""
UNCERTAIN = 300
"""Seconds by which clocks of machines may differ and the hard limit may be late."""
SOFT_SHUTDOWN = 5.0
"""Seconds that running tasks are given on shutdown; below the 10 s that Docker waits by default."""
BACKEND_WAIT = 2_000
"""Milliseconds at most between two tries to store a result while Redis is away: each one leaves a
traceback in the log."""

NO_RESULTS = {"none": "disabled://", "disabled": "disabled://"}
"""What UMBEL_RESULT_BACKEND may say where no results are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside. Times are in seconds."""

    broker_url: str = "redis://127.0.0.1:6379/0"
    result_backend: str = ""
    broker_transport_options: Mapping[str, Any] = field(default_factory=dict)
    result_backend_transport_options: Mapping[str, Any] = field(default_factory=dict)
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"
    default_queue: str = "celery"
    soft_shutdown: float = SOFT_SHUTDOWN
    longest_task: float = LONGEST_TASK

    @property
    def soft_time_limit(self) -> float:
        """Seconds; then a task is told to end, by SoftTimeLimitExceeded."""
        return self.longest_task + TIDY_UP

    @property
    def time_limit(self) -> float:
        """Seconds; then the process of a task is killed."""
        return self.soft_time_limit + TIDY_UP

    @property
    def visibility_timeout(self) -> float:
        """Seconds after which Redis hands out a message again that nobody has acknowledged.

        Longer than any task may run, otherwise one that still runs is started a second time.
        """
        return self.time_limit + UNCERTAIN

    @property
    def result_expires(self) -> float:
        """Seconds a result is kept: a day at least.

        Longer than the visibility timeout, so that a message that comes back although its task has
        succeeded finds that success and is dropped.
        """
        return max(DAY, self.visibility_timeout + UNCERTAIN)


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of this environment; ImproperlyConfigured, in a sentence, for a bad value."""
    broker_url = _first(environ, "UMBEL_BROKER_URL", "CELERY_BROKER_URL") or Settings().broker_url
    return Settings(
        broker_url=broker_url,
        result_backend=_first(environ, "UMBEL_RESULT_BACKEND", "CELERY_RESULT_BACKEND")
        or broker_url,
        broker_transport_options=_json_object(environ, "UMBEL_BROKER_TRANSPORT_OPTIONS"),
        result_backend_transport_options=_json_object(
            environ, "UMBEL_RESULT_BACKEND_TRANSPORT_OPTIONS"
        ),
        event_exchange=_first(environ, "UMBEL_EVENT_EXCHANGE") or "celeryev",
        control_exchange=_first(environ, "UMBEL_CONTROL_EXCHANGE") or "celery",
        default_queue=_first(environ, "UMBEL_DEFAULT_QUEUE") or "celery",
        soft_shutdown=_seconds(environ, "UMBEL_SOFT_SHUTDOWN", SOFT_SHUTDOWN),
        longest_task=_seconds(environ, "UMBEL_LONGEST_TASK", LONGEST_TASK),
    )


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's configuration, each choice with its reason."""
    return {
        **_addresses(settings),
        **_messages(),
        **_delivery(settings),
        **_limits(settings),
        **_what_is_told(),
    }


def _addresses(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url,
        "result_backend": NO_RESULTS.get(settings.result_backend, settings.result_backend),
        "result_backend_transport_options": {**settings.result_backend_transport_options},
        "event_exchange": settings.event_exchange,
        "control_exchange": settings.control_exchange,
        "task_default_queue": settings.default_queue,
        # A worker may start before its Redis does; it waits instead of giving up, for ever.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
    }


def _messages() -> dict[str, Any]:
    return {
        # Pickle from the broker would be code from whoever can write there.
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        # One clock for all machines.
        "enable_utc": True,
        "timezone": "UTC",
    }


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        # A message is acknowledged when its task has ended, not when it starts: a worker that dies
        # loses no task. The price: the task may run twice, so tasks must be idempotent.
        "task_acks_late": True,
        # A task whose own process dies (out of memory, say) fails instead of being tried again and
        # again until it has taken every worker down.
        "task_reject_on_worker_lost": False,
        # A message that comes back although its task has succeeded is dropped.
        "worker_deduplicate_successful_tasks": True,
        # As many messages as processes and none in reserve: nothing waits behind a long task in
        # one worker while another one is idle.
        "worker_prefetch_multiplier": 1,
        "broker_transport_options": {
            "visibility_timeout": settings.visibility_timeout,
            # Notices a Redis that went away without a word (power cut, network) in seconds.
            "socket_keepalive": True,
            "health_check_interval": 10,
            **settings.broker_transport_options,
        },
        # Running tasks go on while Redis is away; the plugin takes their messages over to
        # the new connection, so cancelling and repeating them would only waste what they did.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # For the same reason they are counted on it: no need to fetch fewer for a while.
        "worker_enable_prefetch_count_reduction": False,
        # A task that ends while Redis is away waits to say so, instead of being called a failure.
        "result_backend_always_retry": True,
        "result_backend_base_sleep_between_retries_ms": BACKEND_WAIT,
        "result_backend_max_sleep_between_retries_ms": BACKEND_WAIT,
    }


def _limits(settings: Settings) -> dict[str, Any]:
    return {
        "task_soft_time_limit": settings.soft_time_limit,
        "task_time_limit": settings.time_limit,
        # On SIGQUIT (what the image is stopped with) tasks get this long to end; what still runs
        # then goes back to its queue, for another worker.
        "worker_soft_shutdown_timeout": settings.soft_shutdown,
        "result_expires": settings.result_expires,
    }


def _what_is_told() -> dict[str, Any]:
    return {
        # Events are on from the start: nobody has to remember `-E`.
        "worker_send_task_events": True,
        # Tasks sent by tasks are announced too, with the queue they went to.
        "task_send_sent_event": True,
        # "It runs, there, since then" is in the result backend as well as in the events.
        "task_track_started": True,
        # Results carry name, arguments, worker, queue and retries: history can be read back.
        "result_extended": True,
    }


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _json_object(environ: Mapping[str, str], name: str) -> dict[str, Any]:
    text = environ.get(name) or "{}"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"{name} is {text!r}; it has to be a JSON object, like {{}}.")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= DAY:
        raise ImproperlyConfigured(f"{name} is {text!r}; it has to be seconds from 0 to {DAY}.")
    return value
