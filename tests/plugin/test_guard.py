"""The guard against a restarting Redis, with Celery 5.6; tests/worker has it with 5.7."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.support import environment, events, sending, start_plugin_worker
from tests.support import RedisServer, eventually

SETTINGS = {
    "task_acks_late": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": False,
    "result_backend_always_retry": True,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    found = RedisServer(tmp_path / "redis", durable=True).start()
    yield found
    found.stop()


@pytest.mark.parametrize("version", ["5.4", "5.5"])
def test_it_stays_away_from_other_versions(
    version: str, server: RedisServer, tmp_path: Path
) -> None:
    env = environment(server.url, SETTINGS, keep_messages=True)
    worker = start_plugin_worker(server.url, tmp_path / "log", version=version, env=env)
    assert f"Held messages are not looked after with Celery {version}" in worker.output()
    assert worker.stop() == 0


def test_a_worker_of_celery_5_6_goes_on_with_what_it_held(
    server: RedisServer, tmp_path: Path
) -> None:
    env = environment(server.url, SETTINGS, keep_messages=True)
    worker = start_plugin_worker(server.url, tmp_path / "log", version="5.6", env=env)
    try:
        with sending(server.url) as app:
            running = app.send_task("any.waits", (str(tmp_path), 0)).id
            eventually((tmp_path / "running").exists)
            waiting = app.send_task("any.add", (1,), countdown=8).id
            eventually(lambda: len(events(server.url, "task-received")) == 2)
        assert server.process is not None
        server.process.stop()
        eventually(lambda: "Connection to broker lost" in worker.output())
        server.start()
        eventually(lambda: "took care of 2 message(s)" in worker.output())
        (tmp_path / "go").touch()
        for task_id in (running, waiting):
            done = f"[{task_id}] succeeded"
            eventually(lambda done=done: worker.output().count(done) == 1)  # type: ignore[misc]
        eventually(
            lambda: (
                sorted(event["uuid"] for event in events(server.url, "task-succeeded"))
                == sorted((running, waiting))
            )
        )
    finally:
        worker.kill_group()
