"""What Lighthouse says of the pages, and of Flower's, each as a slow phone would load it."""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import httpx

from benchmarks import events, stack
from benchmarks.report import Figure, Result, Target
from tests.browser.conftest import ARGS, chromium
from tests.support import Process, free_port, start_worker

HERE = Path(__file__).resolve().parent
NODE = HERE / ".venvs" / "lighthouse"
VERSION = "12.8.2"
"""The newest that runs on Node.js 20."""
CATEGORIES = {"performance": 95.0, "accessibility": 100.0, "best-practices": 100.0}
"""Of each, what its score has to be."""
TASKS = 300
"""In the list that is looked at, of which it shows 50."""
PATIENCE = 180.0
"""Seconds for one page."""


@dataclass(frozen=True)
class Look:
    """One page of one program."""

    program: str
    page: str
    url: str


async def run(folder: Path, rounds: int) -> Result:
    """Each page of both in turn."""
    await _install()
    await events.install_flower()
    scores: dict[tuple[str, str, str], list[float]] = {}
    for number in range(rounds):
        inside = folder / str(number)
        inside.mkdir()
        with (
            stack.redis(inside) as server,
            stack.umbel(inside, server.url, "serve") as (_, url),
            stack.running(_flower(inside, server.url)) as flower,
        ):
            worker = start_worker(server.url, inside / "worker.log")
            try:
                task_id = await _fill(url)
                address = f"http://127.0.0.1:{flower.command[-1].rpartition('=')[2]}"
                await stack.until(partial(stack.answers, address, "/healthcheck"), "Flower answers")
                for look in _looks(url, address, task_id):
                    for category, score in (await _score(inside, look.url)).items():
                        key = look.program, look.page, category
                        scores.setdefault(key, []).append(score)
                        print(f"  {look.program}, {look.page}: {category} {score:.0f}", flush=True)
            finally:
                worker.stop()
    return _result(scores)


def _looks(umbel: str, flower: str, task_id: str) -> list[Look]:
    ours = {"overview": "/", "tasks": "/ui/tasks", "task": f"/ui/tasks/{task_id}"}
    theirs = {"overview": "/workers", "tasks": "/tasks", "task": f"/task/{task_id}"}
    return [
        *(Look("Umbel", page, umbel + path) for page, path in ours.items()),
        *(Look("Flower 2.2.0", page, flower + path) for page, path in theirs.items()),
    ]


def _result(scores: dict[tuple[str, str, str], list[float]]) -> Result:
    worst = {
        category: min(
            median(found)
            for (program, _, which), found in scores.items()
            if (program, which) == ("Umbel", category)
        )
        for category in CATEGORIES
    }
    return Result(
        "Lighthouse: overview, tasks and task",
        f"Lighthouse {VERSION} as it comes: a phone with a processor four times slower than this "
        f"machine's and 1.6 Mbit/s. {TASKS} tasks and one worker; the same tasks in Flower.",
        [
            Figure(f"{program}, {page}: {category}", "of 100", found, peer=program != "Umbel")
            for (program, page, category), found in scores.items()
        ],
        [
            Target(f"{category}, the worst page", worst[category], "of 100", at_least=least)
            for category, least in CATEGORIES.items()
        ],
        {"lighthouse": VERSION, "flower": "2.2.0"},
    )


async def _install() -> None:
    """Lighthouse, by npm, in a folder of its own."""
    if (NODE / "node_modules" / ".bin" / "lighthouse").exists():
        return
    if shutil.which("npm") is None:
        raise SystemExit("Lighthouse needs Node.js and npm, which are not on this machine.")
    NODE.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--no-package-lock", "--prefix", str(NODE)]
    process = await asyncio.create_subprocess_exec(*command, f"lighthouse@{VERSION}")
    if await process.wait():
        raise SystemExit("Lighthouse could not be installed; npm's error stands above.")


def _flower(folder: Path, broker_url: str) -> Process:
    command = [str(events.FLOWER / "bin" / "celery"), f"--broker={broker_url}", "flower"]
    command += ["--address=127.0.0.1", f"--port={free_port()}"]
    return Process(command, folder / "flower.log")


async def _fill(url: str) -> str:
    """Tasks for the list; the id of one that has succeeded."""
    await stack.until(lambda: stack.answers(url), "it serves")
    tasks = [{"name": "worker.tasks.add", "args": [number, 1]} for number in range(TASKS)]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        answer = await client.post("/tasks/batch", json={"tasks": tasks})
        last = str(answer.raise_for_status().json()["task_ids"][-1])
        ended = await client.get(f"/tasks/{last}", params={"wait": 60})
        assert ended.json()["state"] == "SUCCESS", ended.text
    return last


async def _score(folder: Path, url: str) -> dict[str, float]:
    into = folder / "lighthouse.json"
    process = await asyncio.create_subprocess_exec(
        str(NODE / "node_modules" / ".bin" / "lighthouse"),
        url,
        "--quiet",
        "--output=json",
        f"--output-path={into}",
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags=--headless=new {' '.join(ARGS)}",
        env={**os.environ, "HOME": str(folder), "CHROME_PATH": chromium()},
    )
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0, url
    found = json.loads(into.read_text())["categories"]
    return {category: 100 * found[category]["score"] for category in CATEGORIES}
