"""Makes the environments of the older Celery versions that tests run workers of.

`python -m tests.stock.install` makes those that are missing; a second run does nothing. The
installed Celery is tested in the environment that the tests themselves run in.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".venvs"
PINS = {
    "5.4": ("celery==5.4.0", "kombu==5.4.2", "redis==5.2.1", "gevent>=26"),
    "5.5": ("celery==5.5.3", "kombu==5.5.4", "redis==5.2.1", "gevent>=26", "packaging>=24"),
    "5.6": ("celery==5.6.3", "kombu==5.6.2", "redis==6.4.0", "gevent>=26", "packaging>=24"),
}
"""Celery of each minor version with the kombu and redis-py of its time."""
INSTALLED = "5.7"
"""The version that the project itself depends on."""


def python(version: str) -> str | None:
    """The interpreter that has this Celery; None where it was not installed."""
    if version == INSTALLED:
        return sys.executable
    folder = FOLDER / version
    return str(folder / "bin" / "python") if _is_made(folder, PINS[version]) else None


def install(version: str) -> None:
    """Makes the environment of this version, unless it is there as it should be."""
    folder, pins = FOLDER / version, PINS[version]
    if _is_made(folder, pins):
        return
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    (FOLDER / ".gitignore").write_text("*\n")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "--disable-pip-version-check", *pins], check=True)
    _mark(folder).write_text("\n".join(pins))


def _is_made(folder: Path, pins: tuple[str, ...]) -> bool:
    # Written last: an environment whose installation was cut short has none.
    return _mark(folder).exists() and _mark(folder).read_text() == "\n".join(pins)


def _mark(folder: Path) -> Path:
    return folder / "installed.txt"


if __name__ == "__main__":
    for each in PINS:
        print(f"Celery {each}: {', '.join(PINS[each])}", flush=True)
        install(each)
