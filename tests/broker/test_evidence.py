"""Where each task is, read politely: complete where it fits, and said where it does not."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from redis.asyncio import Redis

from app.broker import evidence
from app.broker.connection import connect
from app.broker.evidence import NEXT_LIMIT, PAGE, WorkerSettings, look
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.verdict import Read
from tests.broker.test_hearing_snapshot import contents
from tests.stock.workers import start_stock_worker
from tests.support import Process, RedisServer, eventually_async

DEEP = 60_000
"""Messages: more than one look reads."""


@pytest.fixture
def application(redis_url: str) -> Iterator[Celery]:
    application = Celery("stock", broker=redis_url, set_as_current=False)
    yield application
    application.close()


@pytest.fixture
def started(redis_url: str) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill_group()


def message(task_id: str) -> bytes:
    headers = {"id": task_id, "task": "a.b", "retries": 0}
    return json.dumps({"body": "W10=", "headers": headers, "properties": {}}).encode()


def hand_out(url: str, task_id: str, at: float, queue: str = "celery") -> None:
    """As kombu leaves it where a worker has taken a message."""
    with redis.Redis.from_url(url) as sync:
        entry = json.dumps([json.loads(message(task_id)), "", queue])
        sync.hset("unacked", f"tag-{task_id}-{at}", entry)
        sync.zadd("unacked_index", {f"tag-{task_id}-{at}": at})


def fill(url: str, key: str, count: int) -> None:
    with redis.Redis.from_url(url) as sync:
        for start in range(0, count, 5_000):
            some = [message(f"{key}-{start + number}") for number in range(5_000)]
            sync.lpush(key, *some[: count - start])


async def test_waiting_tasks_are_found_in_every_list_of_their_queue(
    application: Celery, client: Redis, redis_url: str
) -> None:
    sent = {
        application.send_task("a.b", queue="mail", priority=priority).id for priority in (0, 3, 9)
    }
    seen = await look(client, Transport.from_options(redis_url), WorkerSettings(), ["mail", "none"])
    assert seen.queued == dict.fromkeys(sent, "mail")
    assert seen.read == {"mail": Read.WHOLE, "none": Read.WHOLE}
    assert seen.unacked


async def test_what_is_handed_out_says_when_it_comes_again(client: Redis, redis_url: str) -> None:
    now = time.time()
    hand_out(redis_url, "t1", now - 100)
    hand_out(redis_url, "t1", now - 50)
    with redis.Redis.from_url(redis_url) as sync:
        sync.hset("unacked", "no-time", json.dumps([json.loads(message("t2")), "", "celery"]))
    seen = await look(client, Transport.from_options(redis_url), WorkerSettings(), [])
    first = seen.handed_out["t1"]
    assert first.redelivery_at == pytest.approx(now - 100 + 3600, abs=1)
    assert first.found.redelivery_at == first.redelivery_at
    assert first.found.queue == "celery"
    assert seen.handed_out["t2"].redelivery_at is None


async def test_our_own_setting_of_the_visibility_timeout_comes_first(
    client: Redis, redis_url: str, started: list[Process], tmp_path: Path
) -> None:
    worker = start_stock_worker(
        redis_url,
        tmp_path / "w.log",
        "-P",
        "solo",
        settings={"broker_transport_options": {"visibility_timeout": 77}},
    )
    started.append(worker)
    hand_out(redis_url, "t1", 1_000.0)
    plain = Transport.from_options(redis_url)
    settings = WorkerSettings()

    async def asked() -> bool:
        seen = await look(client, plain, settings, [])
        assert seen.processes["stock@test"].pid == worker.pid
        return seen.handed_out["t1"].redelivery_at == 1_077.0

    await eventually_async(asked)
    worker.kill_group()
    seen = await look(client, plain, settings, [])
    assert seen.processes == {}
    assert seen.handed_out["t1"].redelivery_at == 1_077.0
    given = Transport.from_options(redis_url, None, {"visibility_timeout": 20})
    seen = await look(client, given, settings, [])
    assert seen.handed_out["t1"].redelivery_at == 1_020.0


async def test_a_worker_says_what_it_holds_and_since_when_it_runs(
    application: Celery,
    client: Redis,
    redis_url: str,
    started: list[Process],
    tmp_path: Path,
) -> None:
    began = time.time()
    started.append(start_stock_worker(redis_url, tmp_path / "w.log", "-c", "1", "-P", "threads"))
    runs = application.send_task("stock.sleep", (60,))
    held = application.send_task("stock.add", (1,))
    transport, settings = Transport.from_options(redis_url), WorkerSettings()

    async def both() -> bool:
        seen = await look(client, transport, settings, ["celery"])
        assert set(seen.held) == {runs.id, held.id}
        assert (seen.held[runs.id].running, seen.held[held.id].running) == (True, False)
        process = seen.processes["stock@test"]
        assert began - 1 <= (process.began_at or 0) <= time.time()
        assert set(seen.handed_out) == {held.id}
        return True

    await eventually_async(both)


async def test_a_deep_queue_costs_two_pages_and_is_not_said_to_be_read(
    client: Redis, redis_url: str
) -> None:
    fill(redis_url, "celery", DEEP)
    fill(redis_url, "mail", 3)
    with redis.Redis.from_url(redis_url) as sync:
        sync.config_resetstat()
        seen = await look(
            client, Transport.from_options(redis_url), WorkerSettings(), ["celery", "mail"]
        )
        calls = {
            name.removeprefix("cmdstat_"): said["calls"]
            for name, said in sync.info("commandstats").items()
        }
    assert seen.read == {"celery": Read.NEXT, "mail": Read.WHOLE}
    nearest = {f"celery-{number}" for number in range(NEXT_LIMIT)}
    assert {task_id for task_id, queue in seen.queued.items() if queue == "celery"} == nearest
    assert calls["lrange"] <= 2 + NEXT_LIMIT // PAGE + 1
    assert "keys" not in calls
    assert "scan" not in calls


async def test_a_queue_of_some_thousand_messages_is_read_whole(
    client: Redis, redis_url: str
) -> None:
    fill(redis_url, "celery", 4_000)
    seen = await look(client, Transport.from_options(redis_url), WorkerSettings(), ["celery"])
    assert len(seen.queued) == 4_000
    assert seen.read == {"celery": Read.WHOLE}


async def test_no_task_is_missed_in_a_queue_that_is_worked_on_while_it_is_read(
    client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are taken from one end and added at the other between every two pages."""
    fill(redis_url, "celery", 2_000)
    with redis.Redis.from_url(redis_url) as sync:

        async def work(_: float) -> None:
            sync.rpop("celery", 100)
            sync.lpush("celery", *[message(f"new-{time.monotonic_ns()}") for _ in range(50)])

        monkeypatch.setattr(evidence.asyncio, "sleep", work)
        seen = await look(client, Transport.from_options(redis_url), WorkerSettings(), ["celery"])
        monkeypatch.undo()
        left = {json.loads(raw)["headers"]["id"] for raw in sync.lrange("celery", 0, -1)}
    assert {task_id for task_id in left if task_id.startswith("celery")} <= set(seen.queued)


async def test_more_handed_out_than_is_read_is_said(
    client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "UNACKED_LIMIT", 200)
    with redis.Redis.from_url(redis_url) as sync:
        entries = {
            f"tag-{number}": json.dumps([json.loads(message(f"t{number}")), "", "celery"])
            for number in range(2_000)
        }
        sync.hset("unacked", mapping=entries)
    seen = await look(client, Transport.from_options(redis_url), WorkerSettings(), [])
    assert not seen.unacked
    assert 200 <= len(seen.handed_out) < 1_000


async def test_strange_things_under_those_names_are_no_tasks(client: Redis, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as sync:
        sync.set("celery", "text")
        sync.set("unacked", "text")
        sync.rpush("mail", b"\xff", b"null", b"[]", b'{"headers": {"id": 5}}', message("t1"))
    seen = await look(
        client, Transport.from_options(redis_url), WorkerSettings(), ["celery", "mail"]
    )
    assert seen.queued == {"t1": "mail"}
    assert not seen.unacked


async def test_a_look_leaves_every_byte_as_it_was(
    application: Celery, client: Redis, redis_url: str
) -> None:
    application.send_task("a.b")
    application.close()
    hand_out(redis_url, "old", time.time() - 86_400)
    before = contents(redis_url)
    await look(client, Transport.from_options(redis_url), WorkerSettings(), ["celery"])
    assert contents(redis_url) == before


async def test_a_broker_that_is_gone_is_said(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "gone").start()
    client, transport = connect(server.url), Transport.from_options(server.url)
    server.stop()
    with pytest.raises(BrokerUnavailable):
        await look(client, transport, WorkerSettings(), ["celery"])
    await client.aclose()
