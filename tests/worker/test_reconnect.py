"""Redis goes away and comes back while a worker holds messages."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import Process, RedisServer, eventually, start_worker
from tests.worker.support import sending, stored, unacknowledged

REPAIRED = (
    "Celery no longer dies when its Redis restarts while it holds a message. "
    "Read 'When the guard can go' in docs/worker.md."
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own that keeps its data."""
    server = RedisServer(tmp_path / "redis", durable=True).start()
    yield server
    server.stop()


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts workers on it."""
    started: list[Process] = []

    def start(*options: str, **more: Any) -> Process:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(start_worker(server.url, log, *options, **more))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def go_away(server: RedisServer, worker: Process, how: int = signal.SIGTERM) -> None:
    """Ends Redis, and returns when the worker has noticed."""
    assert server.process is not None
    server.process.signal(how)
    assert server.process.child is not None
    server.process.child.wait(10)
    eventually(lambda: "Connection to broker lost" in worker.output() or not worker.running())


def state(server: RedisServer, task_id: str) -> object:
    return stored(server.url, task_id).get("status")


def starts(worker: Process, task_id: str) -> int:
    """How often the worker has run a task to its end."""
    return worker.output().count(f"[{task_id}] succeeded")


def test_a_stock_worker_that_holds_a_message_still_dies(
    server: RedisServer, start: Callable[..., Process]
) -> None:
    stock = start(app="tests.worker.stock_app")
    with sending(server.url) as app:
        app.send_task("tests.worker.stock_app.add", (1, 2), countdown=600)
    eventually(lambda: unacknowledged(server.url) == 1)
    go_away(server, stock)
    server.start()
    with sending(server.url) as app:
        sent = app.send_task("tests.worker.stock_app.add", (1, 2)).id
    eventually(lambda: not stock.running() or state(server, sent) == "SUCCESS")
    assert not stock.running(), REPAIRED
    assert "'NoneType' object has no attribute 'hostname'" in stock.output()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_our_worker_goes_on_with_all_it_held(
    server: RedisServer, start: Callable[..., Process], how: int
) -> None:
    worker = start("-l", "info")
    with sending(server.url) as app:
        running = app.send_task("worker.tasks.long_task", (8,)).id
        eventually(lambda: state(server, running) == "PROGRESS")
        waiting = app.send_task("worker.tasks.add", (1, 2), countdown=12).id
        eventually(lambda: unacknowledged(server.url) == 2)
    go_away(server, worker, how)
    server.start()
    eventually(lambda: "took care of 2 message(s)" in worker.output())
    with sending(server.url) as app:
        new = app.send_task("worker.tasks.add", (3, 4)).id
    for task_id in (new, running, waiting):
        eventually(lambda task_id=task_id: state(server, task_id) == "SUCCESS")  # type: ignore[misc]
        eventually(lambda task_id=task_id: starts(worker, task_id))  # type: ignore[misc]
        assert starts(worker, task_id) == 1
    eventually(lambda: unacknowledged(server.url) == 0)
    assert worker.stop() == 0


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_other_pools_go_on_too(
    server: RedisServer, start: Callable[..., Process], pool: str
) -> None:
    worker = start("-l", "info", "-P", pool, "-c", "2")
    with sending(server.url) as app:
        running = app.send_task("worker.tasks.long_task", (5,)).id
        eventually(lambda: state(server, running) == "PROGRESS")
    go_away(server, worker)
    server.start()
    eventually(lambda: state(server, running) == "SUCCESS")
    with sending(server.url) as app:
        new = app.send_task("worker.tasks.add", (3, 4)).id
    eventually(lambda: state(server, new) == "SUCCESS")
    eventually(lambda: unacknowledged(server.url) == 0)
    eventually(lambda: starts(worker, running))
    assert starts(worker, running) == 1


def test_a_task_that_ends_while_redis_is_away_is_not_run_again(
    server: RedisServer, start: Callable[..., Process]
) -> None:
    worker = start("-l", "info")
    with sending(server.url) as app:
        running = app.send_task("worker.tasks.long_task", (2,)).id
        eventually(lambda: state(server, running) == "PROGRESS")
    go_away(server, worker)
    eventually(lambda: "Failed operation _store_result" in worker.output())
    server.start()
    eventually(lambda: state(server, running) == "SUCCESS")
    eventually(lambda: unacknowledged(server.url) == 0)
    eventually(lambda: starts(worker, running))
    assert starts(worker, running) == 1
