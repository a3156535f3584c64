"""Seconds from a start until it is ready, with an empty store and with millions of tasks in it.

`BENCH_TASKS` says how many (10,000,000). `make up` is measured where it is installed already.
"""

import time
from pathlib import Path

from benchmarks import events, history, stack
from benchmarks.report import Figure, Result, Target
from tests.support import Process, free_port

HERE = Path(__file__).resolve().parent.parent
SERVE_MOST, SERVE_AIM = 3.0, 1.0
UP_MOST, UP_AIM = 10.0, 5.0
"""Seconds."""
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""The first start keeps what it compiled, as an installation does, whatever is set here."""
LOOK_SECONDS = 0.02
RETENTION = f"{90 * 86_400}s"
"""Nothing of what is in the store is too old: deleting is another benchmark's."""
EMPTY, FLOWER, MAKE_UP = "umbel serve, empty store", "Flower 2.2.0", "make up, with its worker"


async def run(folder: Path, rounds: int) -> Result:
    """All of them in turns, so that a noisy moment of the machine meets everybody."""
    await events.install_flower()
    found: dict[str, list[float]] = {}
    for database in history.databases():
        with history.copied(database) as store:
            full = {f"umbel serve, {store.tasks:,} tasks in {database}": store.url}
            for number in range(rounds):
                await _round(_made(folder / f"{database}-{number}"), full, found)
                print("  " + ", ".join(f"{name}: {each[-1]:.2f} s" for name, each in found.items()))
    figures = [
        Figure(name, "s", values, lower=True, peer=name == FLOWER) for name, values in found.items()
    ]
    slowest = max(each.median for each in figures if "tasks in" in each.what)
    up = next(each.median for each in figures if each.what == MAKE_UP)
    return Result(
        "From a start until it is ready",
        "Seconds from the command until /readyz answers 200, by when the recorder listens; of "
        "Flower until /healthcheck does. The programs' files are in the system's cache.",
        figures,
        [
            Target(
                "umbel serve with the full store", slowest, "s", at_most=SERVE_MOST, aim=SERVE_AIM
            ),
            Target("make up", up, "s", at_most=UP_MOST, aim=UP_AIM),
        ],
        {"flower": "2.2.0"},
    )


async def _round(folder: Path, full: dict[str, str], found: dict[str, list[float]]) -> None:
    for place, (name, url) in enumerate({EMPTY: "", **full}.items()):
        found.setdefault(name, []).append(await _serve(_made(folder / str(place)), url))
    found.setdefault(FLOWER, []).append(await _flower(_made(folder / "flower")))
    found.setdefault(MAKE_UP, []).append(await _up(_made(folder / "up")))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _serve(folder: Path, url: str) -> float:
    more = {"UMBEL_DATABASE_URL": url, "UMBEL_RETENTION": RETENTION} | COMPILED
    with stack.redis(folder) as server:
        began = time.monotonic()
        with stack.umbel(folder, server.url, "serve", more=more) as (_, address):
            await stack.until(lambda: stack.answers(address), "it is ready", LOOK_SECONDS)
            return time.monotonic() - began


async def _flower(folder: Path) -> float:
    port = free_port()
    with stack.redis(folder) as server:
        command = [str(events.FLOWER / "bin" / "celery"), f"--broker={server.url}", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}"]
        began = time.monotonic()
        with stack.running(Process(command, folder / "flower.log")):
            url = f"http://127.0.0.1:{port}"
            await stack.until(lambda: stack.answers(url, "/healthcheck"), "Flower", LOOK_SECONDS)
            return time.monotonic() - began


async def _up(folder: Path) -> float:
    """Redis, the server, its recorder and the workers, as a person starts them."""
    port = free_port()
    options = f"--port {port} --data-dir {folder / 'data'}"
    process = Process(
        ["make", "-C", str(HERE), "up", f"ARGS={options}"],
        folder / "up.log",
        {"UMBEL_BROKER_URL": "", "CELERY_BROKER_URL": ""} | COMPILED,
    )
    began = time.monotonic()
    with stack.running(process):
        await stack.until(lambda: _says_ready(process), "everything is ready", LOOK_SECONDS)
        return time.monotonic() - began


async def _says_ready(process: Process) -> bool:
    return "Umbel is ready" in process.output()
