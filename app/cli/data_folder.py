"""The data folder of an `umbel up`: writable, used by one at a time, and what runs on it."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from app.domain.errors import CannotStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An `umbel up` at work: its process, where it serves, and the Redis that it uses."""

    pid: int
    url: str
    broker_url: str


class DataFolder:
    """Holds the folder for one `umbel up`: from `take` until `release`, or the process's end.

    The claim is a lock of the operating system on `up.json`, so that one which was killed
    leaves none behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / "up.json"
        self._lock: int | None = None

    def take(self) -> None:
        """Makes the folder where it is missing. Raises CannotStart."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStart(
                f"The data folder {self.path} can't be written to ({error.strerror}): give "
                "another with --data-dir or UMBEL_DATA_DIR."
            ) from None
        if not _lock(self._lock):
            other = running_on(self.path)
            who = f" (process {other.pid}, {other.url})" if other else ""
            os.close(self._lock)
            self._lock = None
            raise CannotStart(
                f"`umbel up` runs on the data folder {self.path} already{who}: stop that one "
                "first, or give another folder with --data-dir."
            )

    def tell(self, running: Running) -> None:
        """Leaves word of what runs here, for `umbel demo` and for a second `umbel up`."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps(asdict(running)).encode(), 0)

    def release(self) -> None:
        """Gives the folder free for the next one, and leaves no file that says otherwise."""
        if self._lock is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def running_on(path: Path) -> Running | None:
    """The `umbel up` at work on a data folder; None where there is none."""
    try:
        with (path / "up.json").open("rb") as file:
            if _lock(file.fileno()):
                return None
            return Running(**json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
