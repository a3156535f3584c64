"""A reset connection to Redis is a lost connection, also on uvloop's event loop.

Writing to one, uvloop raises a RuntimeError ("the handler is closed") where asyncio raises a
ConnectionResetError. redis-py knows the second only, and so does everybody who waits for Redis.
"""

from collections.abc import Iterable
from typing import Any

from redis.asyncio import ConnectionPool

_CLOSED = "handler is closed"


def tell_resets(pool: ConnectionPool) -> ConnectionPool:
    """Has the connections of this pool tell a reset as redis-py tells every lost connection."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Told, kind), {})
    return pool


class _Told:
    """Put before a connection class of redis-py."""

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        plain: Any = super()
        try:
            await plain._send_packed_command(command)
        except RuntimeError as error:
            if _CLOSED in str(error):
                raise ConnectionResetError("the connection was reset") from error
            raise
