"""Starts stock workers, and has things happen to their tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.stock.install import INSTALLED, python
from tests.support import Process, start_worker

FOLDER = Path(__file__).resolve().parent


def start_stock_worker(
    broker_url: str,
    log: Path,
    *options: str,
    version: str = INSTALLED,
    name: str = "stock",
    settings: dict[str, object] | None = None,
    wait: bool = True,
) -> Process:
    """A worker of the stock application on this Celery, ready when this returns if `wait`."""
    interpreter = python(version)
    assert interpreter, f"Celery {version} is missing: run python -m tests.stock.install"
    return start_worker(
        broker_url,
        log,
        "-l",
        "INFO",
        *options,
        name=name,
        app="stock_app",
        cwd=FOLDER,
        python=interpreter,
        env=_environment(broker_url, settings),
        wait=wait,
    )


def run_scenario(
    broker_url: str, version: str = INSTALLED, settings: dict[str, object] | None = None
) -> dict[str, str]:
    """The ids of the tasks that were sent, by what is to happen to them."""
    interpreter = python(version)
    assert interpreter
    done = subprocess.run(
        [interpreter, "scenario.py"],
        cwd=FOLDER,
        env={**os.environ, **_environment(broker_url, settings)},
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        check=True,
        timeout=60,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _environment(broker_url: str, settings: dict[str, object] | None) -> dict[str, str]:
    return {"BROKER_URL": broker_url, "STOCK_SETTINGS": json.dumps(settings or {})}
