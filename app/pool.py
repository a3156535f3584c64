"""Connections to Redis that are lost when they are reset, and closed for good when they are closed.

Writing to one that was reset, uvloop raises a RuntimeError ("the handler is closed") where asyncio
raises a ConnectionResetError. redis-py knows the second only, and so does everybody who waits.

redis-py opens a connection again whenever somebody uses one, also for work that goes on a moment
longer than its client: that connection would be closed by nobody.
"""

from collections.abc import Iterable
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError

_RESET = "handler is closed"


class Pool(ConnectionPool):
    """A pool of redis-py whose connections are such."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.connection_class
        self._kind: Any = type(kind.__name__, (_Closable, kind), {"closed": False})
        self.connection_class = self._kind

    async def aclose(self) -> None:
        """Closes its connections; who uses one of them afterwards is told so."""
        self._kind.closed = True
        await super().aclose()


class _Closable:
    """Put before a connection class of redis-py, one for each pool: `closed` is the pool's."""

    closed: bool

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        plain: Any = super()
        try:
            if not self.closed:
                await plain.connect_check_health(*args, **kwargs)
        finally:
            if self.closed:
                await plain.disconnect(nowait=True)
        if self.closed:
            raise RedisConnectionError("the client of this connection is closed")

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        plain: Any = super()
        try:
            await plain._send_packed_command(command)
        except RuntimeError as error:
            if _RESET in str(error):
                raise ConnectionResetError("the connection was reset") from error
            raise
