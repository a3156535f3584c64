"""A worker with the plugin beside the same worker with Celery's own event dispatcher."""

import json
import sys
import time
import uuid
from base64 import b64encode
from pathlib import Path
from statistics import median

import psutil
import redis.asyncio

from benchmarks import stack
from benchmarks.report import Figure, Result, Target
from tests.support import Process

TASKS = 4_000
WARM_UP = 400
AT_LEAST = 1.0
"""Times the stock worker's tasks a second: keeping events is not to cost any."""
STOCK, PLUGIN, SILENT = "Celery's dispatcher (-E)", "the plugin", "no task events"
FLAGS = {STOCK: ("-E",), PLUGIN: ("-E",), SILENT: ()}
EVENTS = 3
"""A task: received, started, succeeded."""


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn, each contender alone on the machine."""
    rates: dict[str, list[float]] = {name: [] for name in FLAGS}
    main: dict[str, list[float]] = {name: [] for name in FLAGS}
    whole: dict[str, list[float]] = {name: [] for name in FLAGS}
    for number in range(rounds):
        names = list(FLAGS) if number % 2 == 0 else list(reversed(FLAGS))
        for name in names:
            inside = folder / f"{number}-{names.index(name)}"
            inside.mkdir()
            rate, own, total = await _measure(inside, name)
            rates[name].append(rate)
            main[name].append(own)
            whole[name].append(total)
            print(f"  {name}: {rate:,.0f} tasks/s, {own:,.0f} µs of the main process", flush=True)
    figures = [
        *(Figure(name, "tasks/s", rates[name], peer=name != PLUGIN) for name in FLAGS),
        *(_cost(f"{name}: processor time of the main process", main[name]) for name in FLAGS),
        *(_cost(f"{name}: processor time of the whole worker", whole[name]) for name in FLAGS),
    ]
    return Result(
        "A worker with the plugin beside one with Celery's own events",
        f"One prefork worker with two processes on {TASKS:,} tasks that do nothing and keep no "
        f"result, queued beforehand, after {WARM_UP} to warm up; the contenders in turns. With the "
        "plugin each event is published and appended to the stream, and all of them are there at "
        "the end.",
        figures,
        [
            Target(
                "the plugin to Celery's dispatcher, tasks/s",
                median(rates[PLUGIN]) / median(rates[STOCK]),
                "times",
                at_least=AT_LEAST,
            ),
            Target(
                "the plugin to Celery's dispatcher, processor time of the main process",
                median(main[PLUGIN]) / median(main[STOCK]),
                "times",
                at_most=1 / AT_LEAST,
            ),
        ],
    )


def _cost(what: str, values: list[float]) -> Figure:
    return Figure(what, "µs/task", values, lower=True, peer=not what.startswith(PLUGIN))


async def _measure(folder: Path, name: str) -> tuple[float, float, float]:
    """Tasks a second, and µs of processor time a task: of the main process, of all of them."""
    with stack.redis(folder) as server:
        command = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.noop_app", "worker"]
        command += ["-c", "2", "-l", "WARNING", *FLAGS[name]]
        env = {"CELERY_BROKER_URL": server.url, "WITH_PLUGIN": "yes" if name == PLUGIN else ""}
        process = Process(command, folder / "worker.log", env)
        client = redis.asyncio.Redis.from_url(server.url)
        with stack.running(process):
            await _work(client, WARM_UP)
            messages = _messages(TASKS)
            before = _cpu(process.pid)
            taken = await _work(client, TASKS, messages)
            after = _cpu(process.pid)
            if name == PLUGIN:
                await stack.until(lambda: _kept(client), "every event is in the stream")
        await client.aclose()
        own, whole = (1e6 * (b - a) / TASKS for a, b in zip(before, after, strict=True))
        return TASKS / taken, own, whole


async def _work(
    client: redis.asyncio.Redis, count: int, messages: list[str] | None = None
) -> float:
    """Seconds until so many tasks have been started; they come into the queue in one step."""
    began = time.perf_counter()
    await client.lpush("celery", *(messages or _messages(count)))

    async def idle() -> bool:
        return not await client.llen("celery") and not await client.hlen("unacked")

    await stack.until(idle, "the worker has taken them all", every=0.01)
    return time.perf_counter() - began


def _messages(count: int) -> list[str]:
    """Messages as `noop.delay()` writes them."""
    return [_message(str(uuid.uuid4())) for _ in range(count)]


def _message(task_id: str) -> str:
    headers = {
        "lang": "py",
        "task": "noop",
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "gen1@here",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    body = '[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
    properties = {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "priority": 0,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )


async def _kept(client: redis.asyncio.Redis) -> bool:
    count = 0
    for _, fields in await client.xrange("umbel:events"):
        count += fields[b"e"].count(b'"type":"task-')
    return count == (WARM_UP + TASKS) * EVENTS


def _cpu(pid: int) -> tuple[float, float]:
    """Processor seconds of the main process, and of it with its children."""
    own = psutil.Process(pid).cpu_times()
    return own.user + own.system, stack.cpu_seconds(pid)
