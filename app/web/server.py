"""uvicorn, told to end open streams when it stops."""

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from app.web.listening import BACKLOG, listen
from app.web.protocol import Protocol

GRACE_SECONDS = 5
"""For requests that are still running when the server stops; streams end at once."""


class Server(uvicorn.Server):
    """Ends the application's streams first, for uvicorn would wait for them for ever.

    After a signal it returns to its caller, who may have more to stop, where uvicorn would
    raise the signal again. `ready` is called once it answers.
    """

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None] | None = None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the application, then listens."""
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Says goodbye to readers, then stops as uvicorn does."""
        self._app.state.umbel.streams.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the server, and nothing else."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def make_server(app: FastAPI, ready: Callable[[], None] | None = None, **options: Any) -> Server:
    """A server for an application whose lifespan has begun; `options` are uvicorn's own."""
    settings: dict[str, Any] = {
        "http": Protocol,
        "ws": "none",
        "lifespan": "off",
        "backlog": BACKLOG,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "log_config": None,
    }
    return Server(uvicorn.Config(app, **(settings | options)), app, ready)


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serves until SIGTERM or SIGINT. Raises CannotStart where the address can't be had, and
    whatever a part that can't be opened raises.

    `ready` is called with the address once the server answers. Run it in a loop made by
    `new_loop`, which is twice as fast as Python's own.
    """
    listener = listen(host, port)
    allow_connections()
    try:
        # Entered here and not by uvicorn, which would print a traceback where a part that does
        # not open says in one sentence why.
        async with app.router.lifespan_context(app):
            address = address_of(listener)
            told = None if ready is None else lambda: ready(address)
            await make_server(app, told, **options).serve(sockets=[listener])
    finally:
        listener.close()


def allow_connections() -> None:
    """Raises the limit of open files to what the system allows: many begin with 1,024, and each
    viewer is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


new_loop = uvloop.new_event_loop
"""For `asyncio.Runner(loop_factory=new_loop)`."""


def address_of(listener: socket.socket) -> str:
    """`http://…` for people: a wildcard address is reached as localhost."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
