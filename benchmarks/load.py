"""A client that asks one thing over and over: `python -m benchmarks.load HOST PORT PATH BODY …`.

Run as a process of its own, so that it and the server do not share an event loop. It prints
one JSON object: requests, seconds, failures, and the latencies' p50 and p99 in milliseconds.
"""

import asyncio
import json
import statistics
import sys
import time
from typing import cast

import uvloop

PATIENCE = 30.0
"""Seconds for the last answers."""


class Connection(asyncio.Protocol):
    """Keeps one request on its way until `deadline`, on one kept-alive connection."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.taken: list[float] = []
        self.failures = 0
        self._request = request
        self._deadline = deadline
        self._answer = b""
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self.taken.append(time.perf_counter() - self._asked)
        self.failures += not self._answer.startswith(b"HTTP/1.1 202")
        self._answer = b""
        if time.monotonic() < self._deadline:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._request)


async def ask(
    port: int, path: str, body: bytes, connections: int, seconds: float
) -> dict[str, float]:
    """So many connections for so many seconds."""
    loop = asyncio.get_running_loop()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    began = time.monotonic()
    made = [
        await loop.create_connection(
            lambda: Connection(request, began + seconds), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + PATIENCE):
        await asyncio.gather(*(protocol.done for _, protocol in made))
    taken = [each for _, protocol in made for each in protocol.taken]
    cuts = statistics.quantiles(taken, n=100)
    return {
        "requests": len(taken),
        "failures": sum(protocol.failures for _, protocol in made),
        "seconds": time.monotonic() - began,
        "p50": cuts[49] * 1000,
        "p99": cuts[98] * 1000,
    }


def main() -> None:
    """Arguments: port, path, body, connections, seconds."""
    port, path, body, connections, seconds = sys.argv[1:]
    found = uvloop.run(ask(int(port), path, body.encode(), int(connections), float(seconds)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
