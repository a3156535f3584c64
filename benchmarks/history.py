"""A store with millions of tasks: filled once, kept, and copied for whoever changes it.

`python -m benchmarks.history --tasks 1000000 --database sqlite` fills one and says where it is.
"""

import argparse
import atexit
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.store.database import Database
from app.store.migrations import HEAD
from benchmarks import believable, filling
from tests.postgres import PostgresServer

SQLITE, POSTGRESQL = DATABASES = "sqlite", "postgresql"
TASKS = 10_000_000
"""Unless BENCH_TASKS says otherwise."""
SETTINGS = {"shared_buffers": "1GB", "fsync": "on"}
"""A quarter of a small server's memory, where the default is 128 MiB; and real commits."""
_FILLED = "filled.json"
_COPY = "copy"
_copy: dict[tuple[str, int], Path] = {}
"""The one copy of this process, by its database and size."""


@dataclass(frozen=True)
class History:
    """A store at `url`, in files below `folder`; its tasks are of the 30 days before `ended_at`."""

    folder: Path
    url: str
    tasks: int
    ended_at: float

    @property
    def began_at(self) -> float:
        return self.ended_at - believable.DAYS * 86_400


@contextmanager
def kept(database: str, tasks: int = 0) -> Iterator[History]:
    """The kept store itself, for whoever only reads; one at a time. It is filled if need be."""
    with ExitStack() as stack:
        folder = _ensure(database, tasks or size(), stack)
        yield stack.enter_context(_opened(folder, database))


@contextmanager
def copied(database: str, tasks: int = 0, *, spent: bool = False) -> Iterator[History]:
    """A copy, for whoever changes it. The benchmarks of one run that ask for the same store one
    after the other share a copy, for a full one takes minutes; unless it is `spent` afterwards.

    It is removed at the end of the run, and before another is made: two may not fit on the disk.
    """
    key = database, tasks or size()
    if key not in _copy:
        remove_copies()
        _copy[key] = _copied(*key)
    try:
        with _opened(_copy[key], database) as found:
            yield found
    finally:
        if spent:
            remove_copies()


def remove_copies() -> None:
    """Those of this process, and those of processes that were killed."""
    _copy.clear()
    for folder in place().glob(f"{_COPY}-*"):
        owner = int(folder.name.split("-")[1])
        if owner == os.getpid() or not psutil.pid_exists(owner):
            shutil.rmtree(folder, ignore_errors=True)


atexit.register(remove_copies)


def databases() -> tuple[str, ...]:
    """Those that the benchmarks are about: both, or the one that BENCH_DATABASE names."""
    wanted = os.environ.get("BENCH_DATABASE", "")
    if wanted and wanted not in DATABASES:
        raise SystemExit(f"BENCH_DATABASE is one of {', '.join(DATABASES)}, not {wanted}.")
    return (wanted,) if wanted else DATABASES


def size() -> int:
    """How many tasks the benchmarks ask for."""
    return int(os.environ.get("BENCH_TASKS", TASKS))


def place() -> Path:
    """Where filled stores are kept: BENCH_FOLDER, or a folder that PostgreSQL's user can enter."""
    default = Path("/var/tmp") / f"umbel-benchmarks-{os.getuid()}"
    return Path(os.environ.get("BENCH_FOLDER", default))


def _ensure(database: str, tasks: int, stack: ExitStack) -> Path:
    """The folder of that store, nobody else's until the stack ends. Others of that size, which
    were made by another version of this or of the schema, are removed."""
    top = place()
    top.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((top / f"{database}-{tasks}.lock").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = top / f"{database}-{tasks}-{HEAD}-{_digest()}"
    for old in top.glob(f"{database}-{tasks}-*"):
        if old != folder:
            shutil.rmtree(old)
    if not (folder / _FILLED).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _fill(folder, database, tasks)
    return folder


def _copied(database: str, tasks: int) -> Path:
    into = place() / f"{_COPY}-{os.getpid()}-{time.monotonic_ns()}"
    with ExitStack() as stack:
        folder = _ensure(database, tasks, stack)
        began = time.monotonic()
        shutil.copytree(folder, into, copy_function=_copy_with_owner)
        _own_folders(folder, into)
        size = bytes_in(into) / 2**30
        print(f"  copied {size:.1f} GiB in {time.monotonic() - began:.0f} s", flush=True)
    return into


def bytes_in(folder: Path) -> int:
    """Of all files below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _digest() -> str:
    sources = [Path(module.__file__ or "").read_bytes() for module in (believable, filling)]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:8]


def _fill(folder: Path, database: str, tasks: int) -> None:
    folder.mkdir()
    # A round hour, so that nothing is in the future and all that is made in it is the same.
    ended_at = time.time() // 3600 * 3600
    began = time.monotonic()
    with _store(folder, database) as url:
        db = Database.open(url)
        filling.fill(db, url, tasks, ended_at)
        db.close()
    took = time.monotonic() - began
    found = {"tasks": tasks, "ended_at": ended_at, "took_seconds": round(took)}
    (folder / _FILLED).write_text(json.dumps(found))


@contextmanager
def _opened(folder: Path, database: str) -> Iterator[History]:
    found = json.loads((folder / _FILLED).read_text())
    with _store(folder, database) as url:
        yield History(folder, url, found["tasks"], found["ended_at"])


@contextmanager
def _store(folder: Path, database: str) -> Iterator[str]:
    """Its address, while it can be used."""
    if database == SQLITE:
        yield f"sqlite:///{folder / 'umbel.db'}"
        return
    server = PostgresServer(folder=folder / "server", more=SETTINGS)
    server.folder.mkdir(exist_ok=True)
    server.start()
    try:
        yield server.url()
    finally:
        server.stop()


def _copy_with_owner(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    shutil.copystat(source, target)
    found = os.stat(source)
    os.chown(target, found.st_uid, found.st_gid)


def _own_folders(source: Path, target: Path) -> None:
    for each in (source, *(path for path in source.rglob("*") if path.is_dir())):
        found = each.stat()
        os.chown(target / each.relative_to(source), found.st_uid, found.st_gid)


def main() -> None:
    """Fills a store, unless that was done before, and prints where it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history")
    parser.add_argument("--tasks", type=int, default=size())
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL), default=SQLITE)
    given = parser.parse_args()
    with kept(given.database, given.tasks) as found:
        print(f"{found.tasks:,} tasks, {bytes_in(found.folder) / 2**30:.1f} GiB: {found.folder}")


if __name__ == "__main__":
    main()
