"""A network that can fail: a TCP proxy between one part and Redis."""

import asyncio
import socket
from contextlib import suppress

from tests.chaos.background import Background
from tests.support import free_port

CHUNK = 65_536
"""Bytes passed on at once, and at most held back for each direction of a connection."""


class Proxy:
    """Passes everything on to `target`, until it is cut, frozen or mended.

    `cut` resets what is connected and refuses what comes. `freeze` is a cable that was pulled:
    nothing arrives, nobody is told. `mend` ends both; what was frozen arrives late, as TCP has it.
    """

    def __init__(self, background: Background, target: int) -> None:
        self.port = free_port()
        self._background = background
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        background.call(self._open())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        self._background.call(self._cut())

    def freeze(self) -> None:
        self._background.loop.call_soon_threadsafe(self._flowing.clear)

    def mend(self) -> None:
        self._background.call(self._open())

    def close(self) -> None:
        self.cut()

    async def _open(self) -> None:
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            _reset(writer)

    async def _connected(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        self._writers.add(near_out)
        try:
            await self._flowing.wait()
            far, far_out = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(far_out)
            try:
                await asyncio.gather(self._pump(near, far_out), self._pump(far, near_out))
            finally:
                self._writers.discard(far_out)
                far_out.close()
        except OSError:
            _reset(near_out)
        finally:
            self._writers.discard(near_out)
            near_out.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    plug: socket.socket | None = writer.get_extra_info("socket")
    if plug is not None and plug.fileno() >= 0:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for 0 s: close with RST
        with suppress(OSError):
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
