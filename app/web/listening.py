"""The socket that is listened on. Nothing heavy is imported: a start asks here first of all."""

import errno
import socket

from app.domain.errors import CannotStart

SEND_BUFFER = 64 * 1024
"""Bytes that the kernel holds for one reader. By default a stalled one takes megabytes of old
news before anybody notices; with this it is told to begin anew after a second."""
BACKLOG = 2048
"""Connections that may wait to be accepted: a page with thousands of viewers reconnecting."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotStart, saying what to do."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise CannotStart(f"{host} is not an address of this machine: set UMBEL_HOST.") from None
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise CannotStart(_why(error, host, port)) from None
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use already: stop what listens there, "
            "or choose another with UMBEL_PORT."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023 with UMBEL_PORT."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: set UMBEL_HOST."
    return f"Port {port} on {host} can't be listened on: {error.strerror}."
