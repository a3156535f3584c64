"""Every event of a worker is in the stream once, and stock monitors hear what they always did."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import chord, group, signature

from tests.plugin.support import (
    assert_whole,
    environment,
    events,
    numbers,
    sending,
    start_plugin_worker,
    stock_monitor,
)
from tests.stock.install import PINS
from tests.support import Process, eventually

TASKS = 60
STORY = ("task-received", "task-started", "task-succeeded")


def run_tasks(url: str, count: int = TASKS) -> list[str]:
    """Ids of tasks that have all ended."""
    with sending(url) as app:
        sent = [app.send_task("any.add", (number, 1)) for number in range(count)]
        assert [each.get(timeout=30) for each in sent] == [number + 1 for number in range(count)]
    return [each.id for each in sent]


def assert_told_once(url: str, ids: list[str]) -> None:
    for kind in STORY:
        assert Counter(event["uuid"] for event in events(url, kind)) == Counter(ids), kind


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_every_event_is_kept_once_and_heard_by_stock_monitors(
    pool: str, redis_url: str, tmp_path: Path
) -> None:
    with stock_monitor(redis_url) as heard:
        worker = start_plugin_worker(redis_url, tmp_path / "log", "-P", pool, "-c", "2")
        try:
            ids = run_tasks(redis_url)
        finally:
            assert worker.stop() == 0
        kept = events(redis_url)
        eventually(lambda: len(heard) >= len(kept))
    assert_told_once(redis_url, ids)
    assert_whole(redis_url)
    # A warm shutdown says so first, and tells the end of its last tasks after that.
    assert "worker-offline" in {event["type"] for event in kept[-10:]}
    told = Counter((event["type"], event.get("uuid"), event["clock"]) for event in kept)
    assert Counter((event["type"], event.get("uuid"), event["clock"]) for event in heard) == told


@pytest.mark.parametrize("version", sorted(PINS))
def test_older_versions_of_celery_do_so_too(version: str, redis_url: str, tmp_path: Path) -> None:
    with stock_monitor(redis_url) as heard:
        worker = start_plugin_worker(redis_url, tmp_path / "log", version=version)
        try:
            ids = run_tasks(redis_url)
        finally:
            assert worker.stop() == 0
        kept = events(redis_url)
        eventually(lambda: len(heard) >= len(kept))
    assert_told_once(redis_url, ids)
    assert_whole(redis_url)
    assert kept[0]["sw_ver"].startswith(version)


@pytest.fixture(params=["prefork", "threads"])
def worker(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Process]:
    process = start_plugin_worker(redis_url, tmp_path / "log", "-P", request.param, "-c", "2")
    yield process
    process.stop()


def test_events_of_tasks_own_come_from_where_they_run(worker: Process, redis_url: str) -> None:
    with sending(redis_url) as app:
        app.send_task("any.tells", (5,)).get(timeout=30)
    found = eventually(lambda: events(redis_url, "task-step"))
    eventually(lambda: len(events(redis_url, "task-step")) == 5)
    assert [event["current"] for event in events(redis_url, "task-step")] == [0, 1, 2, 3, 4]
    assert found[0]["hostname"] == "w1@test"
    assert_whole(redis_url)
    assert {producer.split("|")[0] for producer in numbers(redis_url)} == {"w1@test"}


def test_received_tasks_tell_queue_priority_group_and_chord(
    worker: Process, redis_url: str
) -> None:
    with sending(redis_url) as app:
        parts = [signature("any.add", (number,), priority=6, app=app) for number in range(2)]
        members = group(parts, app=app)
        result = chord(members, signature("any.total", app=app), app=app).apply_async()
        assert result.get(timeout=30) == 1
    eventually(lambda: len(events(redis_url, "task-received")) == 3)
    received = {event["uuid"]: event for event in events(redis_url, "task-received")}
    told = [event for event in received.values() if event["name"] == "any.add"]
    assert {event["group"] for event in told} == {result.parent.id}
    assert sorted(event["group_index"] for event in told) == [0, 1]
    assert {event["chord"] for event in told} == {result.id}
    assert {(event["queue"], event["priority"]) for event in told} == {("celery", 6)}
    assert not any(event["redelivered"] for event in told)
    assert "chord" not in received[result.id]


def test_a_message_that_was_handed_out_before_is_told_as_that(
    worker: Process, redis_url: str
) -> None:
    with sending(redis_url) as app, redis.Redis.from_url(redis_url) as client:
        sent = app.send_task("any.add", (1,), queue="nobody")
        message = json.loads(client.lpop("nobody"))  # type: ignore[arg-type]
        message["properties"]["delivery_info"]["redelivered"] = True
        client.lpush("celery", json.dumps(message))
        assert sent.get(timeout=30) == 1
    [received] = eventually(lambda: events(redis_url, "task-received"))
    assert received["redelivered"] is True


def test_a_queue_of_an_exchange_is_told_by_its_name(redis_url: str, tmp_path: Path) -> None:
    from kombu import Exchange, Queue

    queue = Queue("slow", Exchange("work", type="topic"), routing_key="a.b")
    (tmp_path / "routed.py").write_text(ROUTED)
    env = {"PYTHONPATH": f"{environment(redis_url)['PYTHONPATH']}:{tmp_path}"}
    process = start_plugin_worker(redis_url, tmp_path / "log", env=env, app="routed")
    try:
        with sending(redis_url, task_queues=[queue]) as app:
            app.send_task("any.add", (1,), queue="slow").get(timeout=30)
        found = eventually(lambda: events(redis_url, "task-received"))
        assert [event["queue"] for event in found] == ["slow"]
    finally:
        process.stop()


ROUTED = """
from kombu import Exchange, Queue
from plugin_app import app

app.conf.task_queues = [Queue("slow", Exchange("work", type="topic"), routing_key="a.b")]
"""


def test_tasks_that_tasks_send_are_announced(redis_url: str, tmp_path: Path) -> None:
    process = start_plugin_worker(redis_url, tmp_path / "log", "-c", "2")
    try:
        with sending(redis_url) as app:
            chain = signature("any.add", (1,), app=app) | signature("any.add", (2,), app=app)
            result = chain.apply_async()
            assert result.get(timeout=30) == 3
        sent = eventually(lambda: events(redis_url, "task-sent"))
        assert [(event["uuid"], event["queue"]) for event in sent] == [(result.id, "celery")]
        assert sent[0]["priority"] == 4
    finally:
        process.stop()
