"""What sending costs each of the processes that take part in it."""

from typing import NamedTuple

import psutil
import redis.asyncio

from benchmarks import stack
from tests.support import Process

COSTS = [
    (f"{what}, each {per}", unit)
    for per in ("request", "task of a batch")
    for what, unit in (
        ("web process", "µs"),
        ("recorder process", "µs"),
        ("redis process", "µs"),
        ("scripts run", "round trips"),
    )
]
"""What one costs in each process; a batch's tasks until the recorder has kept them."""


class Spent(NamedTuple):
    """What has been used up so far: seconds of processor time, and calls of scripts."""

    web: float
    recorder: float
    redis: float
    calls: float

    def __sub__(self, before: "Spent") -> "Spent":
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


async def spent_so_far(process: Process, broker_url: str) -> Spent:
    """By a server, the recorder that is its child, and the Redis of both."""
    whole = stack.cpu_seconds(process.pid)
    times = psutil.Process(process.pid).cpu_times()
    web = times.user + times.system
    client = redis.asyncio.Redis.from_url(broker_url)
    used = await client.info("cpu")
    scripts = (await client.info("commandstats")).get("cmdstat_evalsha", {})
    await client.aclose()
    in_redis = float(used["used_cpu_sys"]) + float(used["used_cpu_user"])
    return Spent(web, whole - web, in_redis, float(scripts.get("calls", 0)))


def keep(costs: dict[str, list[float]], per: str, spent: Spent, count: float) -> None:
    """Notes among `costs` what each of so many requests, or tasks, took."""
    for part in ("web", "recorder", "redis"):
        costs.setdefault(f"{part} process, each {per}", []).append(
            getattr(spent, part) / count * 1e6
        )
    costs.setdefault(f"scripts run, each {per}", []).append(spent.calls / count)
