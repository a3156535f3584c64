"""A Celery client that is safe to have beside other people's workers; `umbel demo` sends by it.

Any client of Celery's that reads replies or results through kombu may hand other people's
unacknowledged messages out again, by its own idea of the visibility timeout. This one never
does, takes JSON only, declares nothing that stays behind, and does not wait for ever.
"""

from celery import Celery

from app.broker.transport import Transport

NEVER = 10**9
"""Seconds, some thirty years: the visibility timeout of a client that must not restore."""
SOCKET_TIMEOUT = 5.0
"""Seconds for connecting and for each answer; Celery's own default is to wait for ever."""
PUBLISH_RETRIES = 2
"""Times that a lost connection is tried again before the caller is told."""


def celery_client(transport: Transport) -> Celery:
    """A Celery application without tasks, for sending by name and reading results."""
    app = Celery("umbel", broker=transport.url, set_as_current=False)
    app.conf.update(
        result_backend=transport.result_url or None,
        broker_transport_options=_broker_options(transport),
        result_backend_transport_options={
            "global_keyprefix": transport.result_keyprefix,
            "socket_timeout": SOCKET_TIMEOUT,
            "socket_connect_timeout": SOCKET_TIMEOUT,
        },
        broker_connection_retry_on_startup=False,
        redis_socket_timeout=SOCKET_TIMEOUT,
        redis_socket_connect_timeout=SOCKET_TIMEOUT,
        task_default_queue=transport.default_queue,
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        task_send_sent_event=True,
        event_exchange=transport.event_exchange,
        control_exchange=transport.control_exchange,
        task_publish_retry_policy={"max_retries": PUBLISH_RETRIES, "interval_max": 0.5},
    )
    return app


def _broker_options(transport: Transport) -> dict[str, object]:
    return {
        "visibility_timeout": NEVER,
        "unacked_restore_limit": 0,
        "global_keyprefix": transport.global_keyprefix,
        "fanout_prefix": transport.fanout_prefix,
        "fanout_patterns": transport.fanout_patterns,
        "priority_steps": list(transport.priority_steps),
        "sep": transport.sep,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
    }
