"""Whether the worker of this container answers: `python -m worker.healthcheck [NODE NAME]`.

Exit status 0 if it answered a ping, 1 with a sentence if not. The node name is by default the one
that a worker started without `-n` has.

The worker is told to answer into one list of its own name, and that list is deleted: a reply
mailbox as `celery inspect ping` uses leaves keys behind when it is interrupted.
"""

import socket
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

from kombu import Connection, Producer
from kombu.exceptions import OperationalError

PATIENCE = 3
"""Seconds that an answer may take; it takes milliseconds unless the worker is stuck."""
GOOD, BAD = 0, 1


def main(arguments: Sequence[str]) -> int:
    """The exit status, after saying why if it is not 0."""
    from worker.celery_app import app

    node = arguments[0] if arguments else f"celery@{socket.gethostname()}"
    try:
        answers = answered(app, node)
    except (OperationalError, OSError) as error:
        print(f"The broker does not answer: {error}", file=sys.stderr)
        return BAD
    if not answers:
        print(f"{node} did not answer within {PATIENCE:g} seconds", file=sys.stderr)
    return GOOD if answers else BAD


def answered(app: Any, node: str, patience: int = PATIENCE) -> bool:
    """Whether that worker answers a ping; raises kombu's OperationalError without a broker."""
    reply_key = f"umbel:ping:{node}"
    with app.connection_for_write(connect_timeout=patience) as connection:
        connection.ensure_connection(max_retries=1, timeout=patience)
        channel: Any = connection.default_channel
        client = channel.client
        client.delete(reply_key)  # an answer that came after the last one gave up
        try:
            _ping(app, connection, node, reply_key, patience)
            return client.brpop([reply_key], timeout=patience) is not None
        finally:
            client.delete(reply_key)


def _ping(app: Any, connection: Connection, node: str, reply_key: str, patience: int) -> None:
    """Celery's own remote control message, with the default exchange as the way back: a reply
    through it goes to the named list itself, and needs no binding."""
    mailbox = app.control.mailbox
    message = {
        "method": "ping",
        "arguments": {},
        "destination": [node],
        "pattern": None,
        "matcher": None,
        "ticket": str(uuid.uuid4()),
        "reply_to": {"exchange": "", "routing_key": reply_key},
    }
    Producer(connection).publish(
        message,
        exchange=mailbox.exchange,
        declare=[mailbox.exchange],
        serializer="json",
        # A worker that finds it later than this drops it, and writes no list that nobody reads.
        headers={"clock": app.clock.forward(), "expires": time.time() + patience},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
