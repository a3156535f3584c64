"""The sample application as it is run: `celery -A worker.celery_app worker`, on a real Redis."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.support import PATIENCE, ROOT, Process, RedisServer, eventually, start_worker
from tests.worker.support import keys, sending, stored, unacknowledged

Start = Callable[..., Process]


def ended(url: str, task_id: str, state: str) -> dict[str, Any]:
    """The stored result once the task is in that state."""

    def look() -> dict[str, Any]:
        found = stored(url, task_id)
        assert found.get("status") == state, found
        return found

    return eventually(look)


def send(url: str, name: str, *args: object, **options: object) -> str:
    with sending(url) as app:
        return str(app.send_task(f"worker.tasks.{name}", args, **options))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis with one worker, `w1@test`, for all tests that leave both as they were."""
    folder = tmp_path_factory.mktemp("process")
    server = RedisServer(folder).start()
    running = start_worker(server.url, folder / "worker.log")
    yield server.url
    running.stop()
    server.stop()


@pytest.fixture
def heard(url: str) -> Iterator[Any]:
    """A subscription to all results that are published."""
    client = redis.Redis.from_url(url)
    subscription: Any = client.pubsub()  # type: ignore[no-untyped-call]
    subscription.psubscribe("celery-task-meta-*")
    yield subscription
    subscription.close()
    client.close()


def progress_until_the_end(heard: Any) -> list[dict[str, Any]]:
    """Every progress report of the task that ends next, in order."""
    found: list[dict[str, Any]] = []
    while True:
        message = heard.get_message(timeout=PATIENCE)
        assert message is not None
        if message["type"] != "pmessage":
            continue
        meta = json.loads(message["data"])
        if meta["status"] == "SUCCESS":
            return found
        if meta["status"] == "PROGRESS":
            found.append(meta["result"])


def test_a_long_task_reports_each_second(url: str, heard: Any) -> None:
    send(url, "long_task", 2.5)
    reports = progress_until_the_end(heard)
    assert [report["current"] for report in reports] == [0, 1, 2, 2.5]
    assert {report["total"] for report in reports} == {2.5}
    assert reports[1]["message"] == "slept 1 of 2.5 seconds"


def test_many_numbers_are_reported_by_the_hundredth(url: str, heard: Any) -> None:
    task_id = send(url, "process_data", list(range(1_050)))
    reports = progress_until_the_end(heard)
    assert [report["current"] for report in reports] == [*range(11, 1_050, 11), 1_050]
    assert ended(url, task_id, "SUCCESS")["result"]["sum"] == 550_725.0


def test_bad_arguments_fail_once_with_a_sentence(url: str) -> None:
    meta = ended(url, send(url, "long_task", -1), "FAILURE")
    assert meta["result"]["exc_type"] == "ValueError"
    assert "seconds has to be from 0 to 86400, not -1" in str(meta["result"]["exc_message"])
    assert meta["retries"] == 0


def test_results_tell_all_there_is_to_tell(url: str) -> None:
    meta = ended(url, send(url, "add", 2, 3), "SUCCESS")
    assert meta["name"] == "worker.tasks.add"
    assert meta["args"] == [2, 3]
    assert meta["worker"] == "w1@test"
    assert meta["queue"] == "celery"


def test_events_are_on_without_being_asked_for(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        subscription: Any = client.pubsub()  # type: ignore[no-untyped-call]
        subscription.psubscribe("/0.celeryev/task*")
        task_id = send(url, "add", 2, 3)
        told: list[str] = []
        while "task-succeeded" not in told:
            message = subscription.get_message(timeout=PATIENCE)
            assert message is not None
            if message["type"] == "pmessage":
                events = json.loads(b64decode(json.loads(message["data"])["body"]))
                told += [event["type"] for event in events if event["uuid"] == task_id]
        subscription.close()
    assert told == ["task-received", "task-started", "task-succeeded"]


def test_a_soft_time_limit_ends_a_sleep(url: str) -> None:
    meta = ended(url, send(url, "long_task", 600, soft_time_limit=1), "FAILURE")
    assert meta["result"]["exc_type"] == "SoftTimeLimitExceeded"


def test_a_worker_answers_for_its_catalog(url: str) -> None:
    with sending(url) as app:
        answers = app.control.broadcast("umbel_catalog", reply=True, limit=1, timeout=10)
    catalog = answers[0]["w1@test"]
    assert catalog["worker.tasks.add"]["schema"]["x-positional"] == ["x", "y"]


def test_a_worker_knows_nothing_of_the_api() -> None:
    look = "import sys, worker.tasks; print([m for m in sys.modules if m.split('.')[0] == 'app'])"
    found = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_what_still_runs_at_a_soft_shutdown_is_run_by_another_worker(
    worker: Start, redis_url: str
) -> None:
    first = worker(name="first", env={"UMBEL_SOFT_SHUTDOWN": "1"})
    task_id = send(redis_url, "long_task", 3)
    ended(redis_url, task_id, "PROGRESS")
    first.signal(signal.SIGQUIT)
    assert first.child is not None
    first.child.wait(20)
    assert unacknowledged(redis_url) == 0
    worker(name="second")
    assert ended(redis_url, task_id, "SUCCESS")["worker"] == "second@test"


def test_a_task_whose_process_is_killed_fails_and_is_not_tried_again(url: str) -> None:
    task_id = send(url, "long_task", 600)
    ended(url, task_id, "PROGRESS")
    with sending(url) as app:
        active = app.control.inspect(["w1@test"], limit=1).active()
    os.kill(active["w1@test"][0]["worker_pid"], signal.SIGKILL)
    meta = ended(url, task_id, "FAILURE")
    assert meta["result"]["exc_type"] == "WorkerLostError"
    eventually(lambda: unacknowledged(url) == 0)


def test_a_bad_setting_stops_the_start_with_one_sentence() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker.celery_app", "worker"],
        cwd=ROOT,
        env={**os.environ, "UMBEL_SOFT_SHUTDOWN": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 1
    assert found.stderr.strip() == (
        "UMBEL_SOFT_SHUTDOWN is 'soon'; it has to be seconds from 0 to 86400."
    )


def healthcheck(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.healthcheck", *arguments],
        cwd=ROOT,
        env={**os.environ, "UMBEL_BROKER_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_healthcheck_hears_its_worker_and_leaves_nothing_behind(url: str) -> None:
    before = keys(url)
    assert healthcheck(url, "w1@test").returncode == 0
    assert keys(url) == before


def test_a_healthcheck_fails_for_a_worker_that_is_not_there(url: str) -> None:
    before = keys(url)
    found = healthcheck(url, "nobody@test")
    assert found.returncode == 1
    assert found.stderr.strip() == "nobody@test did not answer within 3 seconds"
    assert keys(url) == before


def test_a_healthcheck_fails_where_nobody_listens() -> None:
    found = healthcheck("redis://127.0.0.1:1/0", "w1@test")
    assert found.returncode == 1
    assert "broker does not answer" in found.stderr
