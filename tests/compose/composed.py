"""The project that tests/compose/run makes: its containers, and what its API answers."""

import json
import os
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = [*shlex.split(os.environ.get("COMPOSE", "docker compose")), "-p", "umbelproof"]
WORKERS = 3
PATIENCE = 180.0
"""Seconds until what should come true counts as failed: images start slowly on small machines."""
ANSWER = 70.0
"""Seconds that one HTTP answer may take; a task is waited for up to 60."""
OVER = ("SUCCESS", "FAILURE", "REVOKED", "REJECTED", "LOST")

Json = object


class NotProven(Exception):
    """Something is not as it was promised."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ENVIRONMENT = {**os.environ, "UMBEL_PORT": os.environ.get("UMBEL_PORT") or str(free_port())}
URL = f"http://127.0.0.1:{ENVIRONMENT['UMBEL_PORT']}"


def run(command: list[str], patience: float = 900.0) -> str:
    """Its output; NotProven with the end of it if it fails."""
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
    )
    if ran.returncode:
        end = ran.stdout[-3000:]
        raise NotProven(f"`{shlex.join(command)}` ended with status {ran.returncode}:\n{end}")
    return ran.stdout


def done(command: list[str]) -> bool:
    """Whether it succeeds."""
    try:
        run(command)
    except NotProven:
        return False
    return True


def compose(*arguments: str) -> str:
    return run([*COMPOSE, *arguments])


def up(*options: str) -> None:
    compose("up", "-d", *options, "--scale", f"worker={WORKERS}")


def containers(service: str) -> list[str]:
    """The ids of its running containers."""
    return [line for line in compose("ps", "-q", service).split() if len(line) == 64]


def restarts(ids: list[str]) -> list[int]:
    """How often Docker restarted each of these containers by itself."""
    return [int(run(["docker", "inspect", "-f", "{{.RestartCount}}", each])) for each in ids]


def ask(path: str, body: Json = None) -> Json:
    """What GET, or POST with a body, answers. OSError if it doesn't, or not well."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data, headers)
    with urllib.request.urlopen(request, timeout=ANSWER) as answer:
        return json.load(answer)


def page(path: str) -> str:
    """The page as a browser gets it."""
    with urllib.request.urlopen(URL + path, timeout=ANSWER) as answer:
        return answer.read().decode()


def not_ready() -> dict:
    """What /readyz says against it; {} if it is ready."""
    try:
        ask("/readyz")
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return json.load(error)
    return {}


def eventually(what: str, look: object, patience: float = PATIENCE) -> Json:
    """What `look()` gives once that is true; NotProven, with the last seen, if it never is."""
    deadline = time.monotonic() + patience
    seen: Json = None
    while time.monotonic() < deadline:
        try:
            seen = look()
            if seen:
                return seen
        except (OSError, ValueError, KeyError) as error:
            seen = error
        time.sleep(0.5)
    raise NotProven(f"{what}: not within {patience:g} s; last: {seen!r}")


def states() -> dict:
    """Each worker's state by its name."""
    return {worker["name"]: worker["state"] for worker in ask("/workers")["workers"]}


def online() -> list:
    return [name for name, state in states().items() if state == "ONLINE"]


def all_online() -> None:
    eventually("the API is ready", lambda: ask("/readyz"))
    eventually(f"{WORKERS} workers are online", lambda: len(online()) == WORKERS)


def submit(path: str, body: Json) -> str:
    return ask(path, body)["task_id"]


def finished(task_id: str) -> dict:
    """The task when it is over."""

    def look() -> Json:
        task = ask(f"/tasks/{task_id}?wait=10")
        return task if task["state"] in OVER else None

    return eventually(f"task {task_id} is over", look)


def successful(task_id: str) -> dict:
    task = finished(task_id)
    if task["state"] != "SUCCESS":
        raise NotProven(f"task {task_id} is {task['state']}: {task['exception']}")
    return task
