"""Every list, search, count and page, of millions of tasks, while events come in.

`BENCH_TASKS` says of how many (10,000,000), `BENCH_DATABASE` of which database alone. Run with
`retention` and `start` in one command it shares their copy of the store.
"""

import asyncio
import os
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx

from app.domain.filters import print_time
from benchmarks import believable, events, history, recording, stack, storm
from benchmarks.history import History
from benchmarks.recording import Message
from benchmarks.report import Figure, Result, Target
from tests.support import Process, free_port

RATE = 5_000
"""Events a second that are recorded meanwhile."""
WARM = 5
"""Times that each is asked again after the first."""
SETTLE_SECONDS = 5.0
AT_MOST = {history.SQLITE: 300.0, history.POSTGRESQL: 150.0}
"""Milliseconds; the aim is half of them."""
CAP = 10_000
"""Tasks that Flower keeps unless told otherwise."""
PATIENCE = 60.0
SLOW = 1_000.0
"""Milliseconds from which an answer is told of by itself."""

Taken = dict[str, list[float]]
"""Milliseconds of each answer, by what was asked."""
_COMMON, _SELDOM = believable.KINDS[0], believable.KINDS[-1]
_HERE, _ELSEWHERE = _COMMON.workers[0], believable.KINDS[1].queue


def asked(store: History, task_id: str, far: str) -> dict[str, list[str]]:
    """All that can be asked, by kind: what matches much, little and nothing."""
    day, hour = print_time(store.ended_at - 86_400), print_time(store.ended_at - 3_600)
    filters: list[dict[str, str]] = [
        {},
        {"cursor": far},
        *({"state": state} for state in ("SUCCESS", "FAILURE", "LOST", "STARTED", "PROGRESS")),
        {"name": _COMMON.name},
        {"name": _SELDOM.name},
        {"name": "shop.orders.*"},
        {"name": "shop.*"},
        {"queue": _COMMON.queue},
        {"worker": _HERE},
        {"since": hour},
        {"since": day, "state": "FAILURE"},
        {"until": print_time(store.began_at + 86_400)},
        {"until": print_time(store.began_at - 86_400)},
        {"state": "STARTED", "until": day},
        {"name": _COMMON.name, "queue": _ELSEWHERE},
        {"worker": _HERE, "queue": _ELSEWHERE},
        {"name": _COMMON.name, "worker": _HERE, "state": "LOST"},
        {"name": _SELDOM.name, "state": "REVOKED", "since": day},
    ]
    words = (believable.FREQUENT, believable.UNCOMMON, believable.RARE, believable.ABSENT)
    searches: list[dict[str, str]] = [
        *({"q": word} for word in words),
        {"q": f"{believable.UNCOMMON} {believable.ABSENT}"},
        {"q": believable.FREQUENT, "state": "LOST"},
        {"q": believable.RARE, "name": _COMMON.name},
        {"q": believable.UNCOMMON, "worker": _HERE},
        {"q": "4711"},
        {"q": "xq"},
        {"q": task_id[:8]},
    ]
    plain = [each for each in filters if "cursor" not in each]
    orders = ("created", "-runtime", "runtime")
    every = [*plain, *searches]
    return {
        "lists, newest first": ["/tasks?" + urlencode(each) for each in filters],
        "lists in other orders": [
            f"/tasks?sort={order}&{urlencode(each)}" for order in orders for each in plain
        ],
        "searches": ["/tasks?" + urlencode(each) for each in searches],
        "counts": ["/tasks?limit=1&count=true&" + urlencode(each) for each in every],
        "pages of tasks": ["/ui/tasks?" + urlencode(each) for each in every],
        "other pages and figures": [
            "/",
            f"/ui/tasks/{task_id}",
            f"/tasks/{task_id}",
            "/ui/workers",
            f"/ui/workers/{quote(_HERE)}",
            "/ui/queues",
            f"/ui/queues/{_COMMON.queue}",
            "/ui/data-quality",
            "/workers",
            "/queues",
            "/catalog",
            "/stats",
            "/metrics",
        ],
    }


async def run(folder: Path, rounds: int) -> Result:
    """Each round of a database asks all cold, then warm; then the same of Flower at its cap."""
    messages = await storm.record(folder)
    cold: dict[str, list[Taken]] = defaultdict(list)
    warm: dict[str, list[Taken]] = defaultdict(list)
    flower: list[Taken] = []
    for database in history.databases():
        for number in range(rounds):
            with history.copied(database) as store:
                inside = _made(folder / f"{database}-{number}")
                first, again = await _measured(inside, store, messages)
            cold[database].append(first)
            warm[database].append(again)
            _say(database, first, again)
    for number in range(rounds):
        flower.append(await _flower(_made(folder / f"flower-{number}"), messages))
    return Result(
        "Lists, searches and counts of millions of tasks",
        f"{history.size():,} tasks in the store, {RATE:,} events a second recorded meanwhile. All "
        f"that pages and REST can ask, over HTTP: once by a fresh process with the store's files "
        f"dropped from the system's cache before each (cold), then {WARM} times in turn (warm). "
        f"Flower 2.2.0 keeps {CAP:,} tasks; it is asked with as many and nothing else to do.",
        [*_figures(cold, "cold"), *_figures(warm, "warm"), *_of_flower(flower)],
        [*_targets(cold, "cold"), *_targets(warm, "warm")],
        {"flower": "2.2.0"},
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _measured(folder: Path, store: History, messages: list[Message]) -> tuple[Taken, Taken]:
    # What was filled a while ago must not be too old meanwhile.
    more = {"UMBEL_DATABASE_URL": store.url, "UMBEL_RETENTION": "100d"}
    with (
        stack.redis(folder) as server,
        stack.umbel(folder, server.url, "serve", more=more) as (_, url),
    ):
        await stack.until(lambda: stack.answers(url), "it serves")
        with storm.blowing(server.port, messages, RATE, durable=False):
            await asyncio.sleep(SETTLE_SECONDS)
            return await asyncio.to_thread(_ask_all, store, url)


def _ask_all(store: History, url: str) -> tuple[Taken, Taken]:
    first: Taken = defaultdict(list)
    again: Taken = defaultdict(list)
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        old = {"until": print_time(store.ended_at - 86_400), "limit": "500"}
        page = client.get("/tasks", params=old).json()
        everything = asked(store, page["tasks"][0]["id"], page["next"])
        for kind, paths in everything.items():
            for path in paths:
                _drop(store.folder)
                first[kind].append(_ask(client, path))
        for _ in range(WARM):
            for kind, paths in everything.items():
                again[kind] += [_ask(client, path) for path in paths]
    return first, again


def _ask(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    taken = (time.perf_counter() - began) * 1000
    if taken > SLOW:
        print(f"  {taken:.0f} ms: {path}")
    return taken


def _drop(folder: Path) -> None:
    """Makes the system forget what it has read of the files there, as far as they are not mapped;
    PostgreSQL keeps what it has in memory of its own."""
    for path in folder.rglob("*"):
        # Some come and go, and some are folders or sockets.
        with suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _flower(folder: Path, messages: list[Message]) -> Taken:
    await events.install_flower()
    with stack.redis(folder) as server:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [str(events.FLOWER / "bin" / "celery"), f"--broker={server.url}", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}", f"--max_tasks={CAP}"]
        process = Process(command, folder / "flower.log", {"FLOWER_UNAUTHENTICATED_API": "true"})
        with stack.running(process):
            await stack.until(lambda: stack.answers(url, "/healthcheck"), "Flower answers")
            await asyncio.sleep(SETTLE_SECONDS)
            copies, _ = recording.again(messages, CAP // recording.TASKS)
            for commands in copies:
                await recording.play(server.port, commands, float(len(commands)))
            return await asyncio.to_thread(_ask_flower, url)


def _ask_flower(url: str) -> Taken:
    found: Taken = defaultdict(list)
    table = {"draw": 1, "start": 0, "length": 50, "order[0][column]": 0, "order[0][dir]": "asc"}
    table |= {"columns[0][data]": "name", "search[value]": ""}
    paths = {
        "the newest 50": "/api/tasks?limit=50",
        "a search": "/tasks/datatable?" + urlencode(table | {"search[value]": "4711"}),
        "a page of its table": "/tasks/datatable?" + urlencode(table),
    }
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        for _ in range(WARM):
            for what, path in paths.items():
                found[what].append(_ask(client, path))
    return found


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[94]


def _figures(runs: dict[str, list[Taken]], how: str) -> list[Figure]:
    found = []
    for database, rounds in runs.items():
        for kind in rounds[0]:
            half = [statistics.median(each[kind]) for each in rounds]
            most = [_p95(each[kind]) for each in rounds]
            found.append(Figure(f"{database}, {how}: {kind}, p50", "ms", half, lower=True))
            found.append(Figure(f"{database}, {how}: {kind}, p95", "ms", most, lower=True))
    return found


def _of_flower(runs: list[Taken]) -> list[Figure]:
    return [
        Figure(
            f"Flower with {CAP:,} tasks: {what}, p50",
            "ms",
            [statistics.median(each[what]) for each in runs],
            lower=True,
        )
        for what in runs[0]
    ]


def _targets(runs: dict[str, list[Taken]], how: str) -> list[Target]:
    """Of each database the kind that takes longest."""
    found = []
    for database, rounds in runs.items():
        worst = max(statistics.median([_p95(each[kind]) for each in rounds]) for kind in rounds[0])
        what = f"{database}, {how}: p95 of the slowest kind"
        most = AT_MOST[database]
        found.append(Target(what, worst, "ms", at_most=most, aim=most / 2))
    return found


def _say(database: str, first: Taken, again: Taken) -> None:
    for kind in first:
        cold, warm = first[kind], again[kind]
        print(
            f"  {database}: {kind}: cold p50 {statistics.median(cold):.0f}, p95 {_p95(cold):.0f}, "
            f"warm p50 {statistics.median(warm):.0f}, p95 {_p95(warm):.0f} ms",
            flush=True,
        )
