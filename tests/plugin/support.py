"""Applications with the plugin, and what became of their events."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from celery import Celery

import umbel_worker
from tests.stock.install import INSTALLED, python
from tests.support import ROOT, Process, end, eventually, listeners, start_worker

HERE = Path(__file__).resolve().parent
PLUGIN = ROOT / "worker" / "plugin"
KEY = "umbel:events"


@dataclass(frozen=True)
class Entry:
    """An entry of the stream."""

    producer: str
    number: int
    events: list[dict[str, Any]]
    dropped: int


def entries(url: str, key: str = KEY) -> list[Entry]:
    """The whole stream, oldest first."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        found: Any = client.xrange(key)
    return [
        Entry(fields["p"], int(fields["n"]), json.loads(fields["e"]), int(fields.get("d", 0)))
        for _, fields in found
    ]


def events(url: str, kind: str = "", key: str = KEY) -> list[dict[str, Any]]:
    """The events of that type (all types without) in the stream, oldest first."""
    found = [event for entry in entries(url, key) for event in entry.events]
    return [event for event in found if not kind or event["type"] == kind]


def numbers(url: str, key: str = KEY) -> dict[str, list[int]]:
    """The numbers of each producer's events, as they stand in the stream."""
    found: dict[str, list[int]] = {}
    for entry in entries(url, key):
        last = entry.number + len(entry.events)
        found.setdefault(entry.producer, []).extend(range(entry.number, last))
    return found


def assert_whole(url: str, key: str = KEY) -> None:
    """Every producer's events are there once, in order, without a gap."""
    for producer, found in numbers(url, key).items():
        assert found == list(range(1, len(found) + 1)), producer


def application(url: str, settings: dict[str, Any] | None = None, **options: Any) -> Celery:
    """One of this process, with the plugin."""
    app = Celery("here", broker=url, set_as_current=False)
    app.conf.update(settings or {})
    umbel_worker.install(app, **options)
    return app


def environment(url: str, settings: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
    """What `plugin_app` reads."""
    return {
        "BROKER_URL": url,
        "SETTINGS": json.dumps(settings or {}),
        "INSTALL": json.dumps(options),
        "PYTHONPATH": f"{PLUGIN}:{HERE}",
    }


def start_plugin_worker(
    url: str,
    log: Path,
    *flags: str,
    version: str = INSTALLED,
    env: dict[str, str] | None = None,
    app: str = "plugin_app",
    wait: bool = True,
) -> Process:
    """A worker of `plugin_app`, ready when this returns."""
    interpreter = python(version)
    assert interpreter, f"Celery {version} is missing: run python -m tests.stock.install"
    return start_worker(
        url,
        log,
        "-l",
        "INFO",
        *flags,
        app=app,
        cwd=HERE,
        python=interpreter,
        env={**environment(url), **(env or {})},
        wait=wait,
    )


@contextmanager
def sending(url: str, **settings: Any) -> Iterator[Celery]:
    """An application without the plugin that sends tasks by name."""
    app = Celery("sender", broker=url, backend=url, set_as_current=False)
    app.conf.update(settings)
    try:
        yield app
    finally:
        end(app)


@contextmanager
def stock_monitor(url: str) -> Iterator[list[dict[str, Any]]]:
    """What Celery's own EventReceiver hears meanwhile."""
    app = Celery("monitor", broker=url, set_as_current=False)
    heard: list[dict[str, Any]] = []
    with app.connection_for_read() as connection, redis.Redis.from_url(url) as client:
        receiver: Any = app.events.Receiver(connection, handlers={"*": heard.append})
        before = listeners(client)
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        try:
            eventually(lambda: listeners(client) > before)
            yield heard
        finally:
            receiver.should_stop = True
            thread.join()
    app.close()


def freeze(process: Process) -> None:
    """Stops a process where it is; returns when it stands still."""
    process.signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
