"""`umbel serve`: the API and the dashboard, with the recorder as a process beside them."""

import asyncio
import errno
import socket
import sys
from contextlib import suppress

from app import logs
from app.cli.flags import with_settings
from app.cli.processes import Process
from app.cli.running import with_running_broker
from app.domain.errors import CannotStart
from app.settings import Settings


@with_settings
def serve(*, settings: Settings) -> None:
    """Serve the API and the dashboard, and record what the workers of a broker do."""
    settings = with_running_broker(settings)
    settings.transport()
    logs.configure(settings.log_level, settings.log_format)
    check_address(settings.host, settings.port)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from app.main import create_app
    from app.web import server

    recorder = Process(
        "recorder",
        [sys.executable, "-m", "app.cli", "record"],
        environment=settings.environment(),
    )
    await recorder.start()
    keeping = asyncio.create_task(recorder.keep_running())
    try:
        await server.serve(create_app(settings), settings.host, settings.port)
    finally:
        await recorder.stop()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def check_address(host: str, port: int) -> None:
    """Raises CannotStart where nobody could listen there, with the reason and the way out."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As uvicorn does: a connection of the last run that still lingers is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CannotStart(_reason(host, port, error)) from None


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use by another program: stop that one, or choose "
            "another port with --port or UMBEL_PORT."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023 with --port."
    return f"{host} is no address of this machine ({error.strerror}): see --host and UMBEL_HOST."
