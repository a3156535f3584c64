"""A worker that is told to stop while its broker is gone does stop."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.support import RedisServer, eventually, start_worker
from tests.worker.support import sending
from umbel_worker.shutdown import GRACE

SOFT = 1.0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


def test_a_soft_shutdown_ends_although_the_broker_went_first(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    env = {"UMBEL_SOFT_SHUTDOWN": str(SOFT)}
    worker = start_worker(own_redis.url, tmp_path / "worker.log", env=env)
    try:
        with Celery(broker=own_redis.url) as application:
            application.send_task("worker.tasks.long_task", [600])
        eventually(lambda: "long_task" in worker.output())
        assert own_redis.process is not None
        own_redis.process.kill_group()
        worker.signal(signal.SIGQUIT)
        eventually(lambda: not worker.running(), patience=SOFT + GRACE + 10)
    finally:
        worker.kill_group()


def test_a_warm_shutdown_waits_for_what_runs(own_redis: RedisServer, tmp_path: Path) -> None:
    env = {"UMBEL_SOFT_SHUTDOWN": "0.1"}
    worker = start_worker(own_redis.url, tmp_path / "worker.log", env=env)
    try:
        with sending(own_redis.url) as application:
            sent = application.send_task("worker.tasks.long_task", [GRACE + 2])
            eventually(lambda: sent.state == "PROGRESS")
            worker.signal(signal.SIGTERM)
            assert sent.get(timeout=30) == {"slept": GRACE + 2}
        eventually(lambda: not worker.running())
    finally:
        worker.kill_group()
