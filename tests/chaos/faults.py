"""Everything that is broken, one thing at a time. A fault returns when the part is back."""

import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos.scene import Scene
from tests.chaos.stack import Needs, Stopped
from tests.support import eventually

OUTAGE = 30.0
"""Seconds for which Redis is paused: longer than every timeout of ours."""
TAKEOVER = 5.0
"""Seconds after which another recorder is active: what is promised."""
PAUSED = 10.0
"""Seconds for which a leader is stopped: twice what a takeover may take."""
NOISE = 1_000_000
"""Bytes of a message that a stopped subscriber cannot take."""


@dataclass(frozen=True)
class Fault:
    """`act` breaks something and mends it. `redelivers`: Redis may hand tasks out a second time,
    as it does for workers that died. `patience`: seconds until everything has to be true.
    `database`: the only one that it concerns. `missing`: what it lacks on this machine."""

    name: str
    said: str
    act: Callable[[Scene], None]
    needs: Needs
    redelivers: bool
    patience: float
    database: str
    missing: Callable[[], str]


FAULTS: dict[str, Fault] = {}


def fault(
    needs: Needs = Needs(),  # noqa: B008 (a frozen value)
    *,
    redelivers: bool = False,
    patience: float = 90.0,
    database: str = "",
    missing: Callable[[], str] = str,
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Adds a fault under the name of its function; its docstring is what the table says."""

    def add(act: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = act.__name__.replace("_", "-")
        said = " ".join((act.__doc__ or "").split())
        FAULTS[name] = Fault(name, said, act, needs, redelivers, patience, database, missing)
        return act

    return add


@fault(Needs(recorders=2))
def recorder_killed(scene: Scene) -> None:
    """The active recorder is killed with -9, at random moments"""
    for moment in range(scene.moments):
        pid = scene.stack.wait_for_leader(live=moment % 4 != 3)
        if moment % 4 != 3:
            scene.at_random()
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        scene.stack.wait_for_leader(pid, live=False)
        scene.measure("takeover", time.monotonic() - began)
    scene.stack.wait_for_leader()
    scene.holds("takeover", TAKEOVER)


@fault()
def api_killed(scene: Scene) -> None:
    """A web process is killed with -9, its recorder with it, in turns"""
    for moment in range(min(scene.moments, 10)):
        replica = scene.stack.replicas[moment % len(scene.stack.replicas)]
        scene.at_random()
        replica.kill()
        scene.stack.wait_until_up()


@fault(Needs(recorders=2))
def leader_paused(scene: Scene) -> None:
    """The active recorder is stopped with SIGSTOP, another takes over, the first goes on"""
    for _ in range(1 if scene.short else 3):
        pid = _leader_without_a_guard(scene)
        scene.at_random()
        began = time.monotonic()
        # Frozen inside a commit it holds SQLite's lock: nobody can write until it goes on.
        with Stopped(pid), suppress(AssertionError):
            scene.stack.wait_for_leader(pid, live=False, patience=PAUSED)
            scene.measure("takeover", time.monotonic() - began)
            time.sleep(max(0.0, PAUSED - (time.monotonic() - began)))
        scene.stack.wait_for_leader()
        scene.work()
    scene.holds("takeover", TAKEOVER)


def _leader_without_a_guard(scene: Scene) -> int:
    """A recorder that nobody ends for being frozen, as `umbel serve` does with its own."""
    while (pid := scene.stack.wait_for_leader()) not in {
        part.pid for part in scene.stack.recorders
    }:
        os.kill(pid, signal.SIGTERM)
        scene.stack.wait_for_leader(pid)
    return pid


@fault(Needs(visibility=12), redelivers=True)
def redis_restarted(scene: Scene) -> None:
    """Redis with persistence (AOF) is stopped and started, then killed with -9 and started"""
    for number in (signal.SIGTERM, signal.SIGKILL):
        scene.at_random()
        scene.stack.kill_redis(number)
        scene.last(3)
        scene.stack.start_redis()
        scene.stack.wait_until_up()
        scene.work()


@fault(Needs(persistent=False), redelivers=True)
def redis_emptied(scene: Scene) -> None:
    """Redis without persistence is killed with -9 and started: all that it held is gone"""
    scene.at_random()
    scene.stack.kill_redis()
    scene.last(3)
    scene.stack.start_redis()
    scene.stack.wait_until_up()
    scene.work()


@fault(Needs(visibility=60), redelivers=True, patience=150.0)
def redis_paused(scene: Scene) -> None:
    """Redis is stopped with SIGSTOP for 30 s, and goes on"""
    scene.at_random()
    scene.stack.pause_redis()
    scene.last(OUTAGE)
    scene.stack.resume_redis()


@fault(Needs(proxied="umbel"))
def umbel_cut_off(scene: Scene) -> None:
    """The network between Umbel and Redis is cut for 10 s, then swallows everything for 20 s"""
    _cut_off(scene)


@fault(Needs(proxied="worker", visibility=45), redelivers=True, patience=120.0)
def worker_cut_off(scene: Scene) -> None:
    """The network between the workers and Redis is cut for 10 s, then swallows all for 20 s"""
    _cut_off(scene)


def _cut_off(scene: Scene) -> None:
    proxy = scene.stack.proxy
    assert proxy is not None
    scene.at_random()
    proxy.cut()
    scene.last(10)
    proxy.mend()
    scene.stack.wait_until_up()
    scene.work()
    proxy.freeze()
    scene.last(20)
    proxy.mend()


@fault(Needs(visibility=12), redelivers=True, patience=120.0)
def worker_killed(scene: Scene) -> None:
    """A worker is killed with -9 in the middle of a task, and started again"""
    for worker in scene.stack.workers * (1 if scene.short else 2):
        scene.work()
        _wait_for_a_running_task(scene, worker.process.pid)
        worker.kill_all()
        eventually(worker.ready, 60.0)


def _wait_for_a_running_task(scene: Scene, worker: int) -> None:
    def runs() -> bool:
        mine = {child.pid for child in psutil.Process(worker).children(recursive=True)}
        lines = [json.loads(line) for line in scene.stack.log.read_text().splitlines()[-40:]]
        last = {line["pid"]: line["what"] for line in lines}
        return any(last.get(pid) == "start" for pid in mine)

    eventually(runs, 60.0, 0.02)


@fault()
def subscriber_dropped(scene: Scene) -> None:
    """Redis throws off a subscriber that reads too slowly (client-output-buffer-limit)"""
    with scene.stack.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
        for _ in range(2 if scene.short else 5):
            pid = scene.stack.wait_for_leader()
            scene.at_random()
            before = {each["id"] for each in client.client_list("pubsub") if int(each["psub"])}
            with Stopped(pid):
                for _ in range(12):
                    client.publish("/0.celeryev/noise", "x" * NOISE)
                time.sleep(1.0)
            after = {each["id"] for each in client.client_list("pubsub") if int(each["psub"])}
            assert before - after, "Redis has thrown nobody off"
            scene.work()


CLOCK = Path(__file__).resolve().parent / "clock"
AHEAD = {
    "CHAOS_CLOCK": "300",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(CLOCK), os.environ.get("PYTHONPATH")])),
}


@fault(Needs(worker_env=AHEAD), patience=40.0)
def clock_off(scene: Scene) -> None:
    """One worker's clock is five minutes ahead"""
    scene.work(100)


@fault(database="postgresql", patience=120.0)
def postgres_killed(scene: Scene) -> None:
    """PostgreSQL is killed with -9 for 8 s, and later stopped with SIGSTOP for 15 s"""
    postgres = scene.stack.postgres
    assert postgres is not None
    scene.at_random()
    postgres.kill()
    scene.last(8)
    postgres.start()
    scene.stack.wait_until_up()
    scene.work()
    postgres.freeze()
    scene.last(15)
    postgres.thaw()


def _no_mount() -> str:
    return "" if os.geteuid() == 0 else "only root can mount a small disk"


@fault(Needs(small_disk=True), database="sqlite", missing=_no_mount)
def disk_full(scene: Scene) -> None:
    """The disk under SQLite is full for 10 s"""
    ballast = scene.stack.data / "ballast"
    with ballast.open("wb", 0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            pass
    try:
        scene.last(10)
    finally:
        ballast.unlink()


@fault(Needs(replicas=20), patience=180.0)
def twenty_replicas(scene: Scene) -> None:
    """Twenty replicas start at once on an empty store"""
    assert [part.starts for part in scene.stack.replicas] == [1] * 20
    scene.work(60)


@fault(Needs(visibility=12), redelivers=True, patience=120.0)
def stopped_and_started(scene: Scene) -> None:
    """Redis, workers and Umbel are stopped and started cleanly, in each order, under load"""
    orders = list(itertools.permutations(("redis", "workers", "umbel")))
    for stops, starts in zip(orders, reversed(orders), strict=True):
        for what in stops:
            _stop(scene, what)
        for what in starts:
            _start(scene, what)
        scene.stack.wait_until_up()
        scene.work()
        if scene.short:
            break


def _stop(scene: Scene, what: str) -> None:
    if what == "redis":
        scene.stack.kill_redis(signal.SIGTERM)
        return
    parts = scene.stack.workers if what == "workers" else scene.stack.replicas
    for part in parts:
        part.stop()


def _start(scene: Scene, what: str) -> None:
    if what == "redis":
        scene.stack.start_redis()
        return
    parts = scene.stack.workers if what == "workers" else scene.stack.replicas
    for part in parts:
        part.start()
