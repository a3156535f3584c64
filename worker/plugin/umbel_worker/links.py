"""The Redis servers that events go to, reached as the application's own configuration says.

Nothing here connects when it is made, only when it is used; and it is used by the background
thread alone, so that nobody else ever waits for a server.
"""

from collections.abc import Callable, Mapping
from typing import Any

import redis
from celery import Celery
from kombu import Connection
from redis import connection as redis_connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from umbel_worker.wire import stream_key

LOCAL = {"", "localhost", "127.0.0.1", "::1"}
ANSWER_WITHIN = 10.0
"""Seconds until a server that does not answer counts as gone. Nobody waits for it meanwhile."""
CONNECT_WITHIN = 5.0
ONCE = Retry(NoBackoff(), 0)
"""No retries of redis-py's own: what is written again is for the caller to know."""
_parse: Callable[[str], Mapping[str, Any]] = redis_connection.parse_url


class Broker:
    """The application's broker: its client and the channels of its event exchange."""

    def __init__(self, app: "Celery[Any]", answer_within: float | None = None) -> None:
        self._app = app
        self._answer_within = answer_within or ANSWER_WITHIN
        self._channel: Any = None
        self._client: redis.Redis | None = None
        self._topics: dict[str, list[str]] = {}

    def client(self) -> redis.Redis:
        """A client of it; raises what kombu and redis-py raise where it is away."""
        if self._client is None:
            connection = self._connection()
            # kombu knows every way to a Redis (TLS, Sentinel, sockets, credential providers);
            # its channel is opened for that knowledge and never receives anything.
            channel: Any = connection.channel()
            channel.async_pool.disconnect()
            channel.pool.connection_kwargs["retry"] = ONCE
            self._channel = channel
            self._client = redis.Redis(connection_pool=channel.pool)
        return self._client

    def close(self) -> None:
        """Ends its connections."""
        if self._client is not None:
            self._client.connection_pool.disconnect()
            self._channel.connection.client.release()
            self._client = self._channel = None

    def topics(self, exchange: str, routing_key: str) -> list[str]:
        """The pub/sub channels of a routing key, after `client` was called."""
        found = self._topics.get(routing_key)
        if found is None:
            found = self._topics[routing_key] = [
                f"{self._channel.global_keyprefix}{topic}"
                for topic in self._bare_topics(exchange, routing_key)
            ]
        return found

    def _bare_topics(self, exchange: str, routing_key: str) -> list[str]:
        if hasattr(self._channel, "_get_publish_topics"):  # from kombu 5.7 on
            return list(self._channel._get_publish_topics(exchange, routing_key))
        return [self._channel._get_publish_topic(exchange, routing_key)]

    def _connection(self) -> Connection:
        connection = self._app.connection_for_write()
        options = {
            **(connection.transport_options or {}),
            "socket_timeout": self._answer_within,
            "socket_connect_timeout": min(CONNECT_WITHIN, self._answer_within),
            "retry_on_timeout": False,
        }
        return connection.clone(transport_options=options)


class Stream:
    """Where the stream is: on the broker, or on a server of its own."""

    def __init__(self, app: "Celery[Any]", broker: Broker, url: str) -> None:
        options: Mapping[str, Any] = app.conf.broker_transport_options or {}
        self.key = stream_key(str(options.get("global_keyprefix") or ""))
        self.on_broker = not url or _same_server(app.connection_for_write(), url)
        self._broker = broker
        self._url = url
        self._client: redis.Redis | None = None

    def client(self) -> redis.Redis:
        """A client of it; raises redis-py's errors, and ValueError for a bad address."""
        if self.on_broker:
            return self._broker.client()
        if self._client is None:
            self._client = redis.Redis.from_url(
                self._url,
                socket_timeout=ANSWER_WITHIN,
                socket_connect_timeout=CONNECT_WITHIN,
                retry=ONCE,
            )
        return self._client


def _same_server(connection: Connection, url: str) -> bool:
    if url == connection.as_uri(include_password=True).rstrip("/"):
        return True
    try:
        there = _parse(url)
        here = _parse(connection.as_uri(include_password=True))
    except ValueError:  # an address of kombu's own kind, for Sentinel say
        return False
    return _place(there) == _place(here)


def _place(parsed: Mapping[str, Any]) -> tuple[object, ...]:
    host = str(parsed.get("host") or "")
    return (
        "" if host in LOCAL else host,
        parsed.get("port") or 6379,
        parsed.get("path"),
        parsed.get("db") or 0,
    )
