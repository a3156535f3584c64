"""A look at a real broker with a real worker: all is found, and nothing is touched."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from redis.asyncio import Redis

from app.broker.answers import read_held, read_reports, short_pool
from app.broker.connection import connect
from app.broker.control import ask
from app.broker.queues import UNACKED_LIMIT, find_queue_names, measure_queues
from app.broker.results import fetch_results
from app.broker.snapshot import WAITING_LIMIT, Plain, ask_workers, find_handed_out, find_waiting
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.events import TaskFound, WorkerReported
from tests.stock.workers import start_stock_worker
from tests.support import PATIENCE, Process, RedisServer, end, eventually, eventually_async

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own call


@pytest.fixture
def application(redis_url: str) -> Iterator[Celery]:
    application = Celery("stock", broker=redis_url, backend=redis_url)
    application.conf.result_extended = True
    yield application
    end(application)


@pytest.fixture
def stock_worker(redis_url: str, tmp_path: Path) -> Iterator[Process]:
    process = start_stock_worker(redis_url, tmp_path / "worker.log", "-c", "1", "-P", "threads")
    yield process
    process.kill_group()


def contents(url: str) -> dict[bytes, bytes | None]:
    """Everything on the server, byte by byte."""
    with redis.Redis.from_url(url) as sync:
        return {key: sync.dump(key) for key in sync.scan_iter()}


async def test_a_busy_worker_tells_what_it_runs_and_holds(
    application: Celery, client: Redis, redis_url: str, stock_worker: Process
) -> None:
    transport = Transport.from_options(redis_url)
    run = application.send_task("stock.sleep", (60,), priority=3)
    held = application.send_task("stock.add", (1,), {"y": 12345678901234567890})
    later = application.send_task("stock.add", (1, 2), countdown=600)
    eventually(lambda: later.id in stock_worker.output())
    events = await ask_workers(client, transport)
    (report,) = [event for event in events if isinstance(event, WorkerReported)]
    assert (report.worker, report.pool, report.concurrency) == ("stock@test", "threads", 1)
    assert report.pid == stock_worker.pid
    assert report.prefetch is not None
    assert report.queues == ("celery",)
    assert report.catalog is not None
    assert ("stock.add", None) in report.catalog
    found = {event.task_id: event for event in events if isinstance(event, TaskFound)}
    assert set(found) == {run.id, held.id, later.id}
    assert (found[run.id].running, found[run.id].args) == (True, "[60]")
    assert abs((found[run.id].started_at or 0) - time.time()) < 60
    assert not found[held.id].running
    assert json.loads(found[held.id].kwargs or "") == {"y": 12345678901234567890}
    assert found[later.id].eta is not None
    assert {one.worker for one in found.values()} == {"stock@test"}
    assert {one.queue for one in found.values()} == {"celery"}


async def test_our_own_worker_tells_its_catalog(
    client: Redis, redis_url: str, worker: object
) -> None:
    worker("-P", "solo")  # type: ignore[operator]
    events = await ask_workers(client, Transport.from_options(redis_url))
    (report,) = [event for event in events if isinstance(event, WorkerReported)]
    documents = dict(report.catalog or ())
    document = json.loads(documents["worker.tasks.add"] or "null")
    assert document["schema"]["type"] == "object"


async def test_a_plain_worker_is_asked_for_our_catalog_only_once(
    client: Redis, redis_url: str, stock_worker: Process
) -> None:
    transport = Transport.from_options(redis_url)
    plain: Plain = {}
    first = await ask_workers(client, transport, plain)
    assert plain == {"stock@test": stock_worker.pid}
    second = await ask_workers(client, transport, plain)
    assert [one.catalog for one in first if isinstance(one, WorkerReported)] == [
        one.catalog for one in second if isinstance(one, WorkerReported)
    ]
    errors = "pidbox command error: KeyError('umbel_catalog')"
    eventually(lambda: errors in stock_worker.output())
    assert stock_worker.output().count(errors) == 1


async def test_a_worker_with_a_catalog_is_asked_each_time(
    client: Redis, redis_url: str, worker: object
) -> None:
    worker("-P", "solo")  # type: ignore[operator]
    transport = Transport.from_options(redis_url)
    plain: Plain = {}

    async def tells_its_catalog() -> bool:
        events = await ask_workers(client, transport, plain)
        reports = [event for event in events if isinstance(event, WorkerReported)]
        return any(dict(report.catalog or ()).get("worker.tasks.add") for report in reports)

    for _ in range(2):
        await eventually_async(tells_its_catalog)
    assert plain == {}


async def test_without_workers_nobody_answers_and_nothing_waits(
    client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport.from_options(redis_url)
    monkeypatch.setitem(ask.__kwdefaults__, "timeout", 10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        assert await ask_workers(client, transport) == []
    assert await find_waiting(client, transport, ["celery"]) == []
    assert await find_queue_names(client, transport) == {"celery"}


async def test_waiting_messages_are_found_next_one_first_with_their_true_arguments(
    application: Celery, client: Redis, redis_url: str
) -> None:
    transport = Transport.from_options(redis_url)
    first = application.send_task("a.b", (1, "x"), {"k": [1.5, None]}, queue="mail", retries=2)
    second = application.send_task("a.b", (2,), queue="mail", expires=600)
    low = application.send_task("a.b", (3,), queue="mail", priority=9)
    found = await find_waiting(client, transport, ["mail", "empty"])
    assert [one.task_id for one in found] == [first.id, second.id, low.id]
    assert (found[0].name, found[0].queue, found[0].retries) == ("a.b", "mail", 2)
    assert json.loads(found[0].args or "") == [1, "x"]
    assert json.loads(found[0].kwargs or "") == {"k": [1.5, None]}
    assert found[0].args_repr == "(1, 'x')"
    assert found[1].expires is not None
    assert found[2].priority == 9
    assert {one.worker for one in found} == {None}
    assert [one.root_id for one in found] == [one.task_id for one in found]


async def test_more_messages_than_a_page_are_all_found(
    application: Celery, client: Redis, redis_url: str
) -> None:
    application.send_task("a.b", (0,), queue="mail")
    with redis.Redis.from_url(redis_url) as sync:
        message = json.loads(sync.lindex("mail", 0))
        pipe = sync.pipeline(transaction=False)
        for number in range(1, 1300):
            message["headers"]["id"] = f"t{number}"
            pipe.lpush("mail", json.dumps(message))
        pipe.execute()
    found = await find_waiting(client, Transport.from_options(redis_url), ["mail"])
    assert [one.task_id for one in found[1:]] == [f"t{number}" for number in range(1, 1300)]
    assert WAITING_LIMIT > 1300


async def test_queues_are_measured_by_priority_with_their_next_messages(
    application: Celery, client: Redis, redis_url: str
) -> None:
    transport = Transport.from_options(redis_url, None, {"global_keyprefix": "P"})
    application.conf.broker_transport_options = {"global_keyprefix": "P"}
    first = application.send_task("a.b", queue="mail")
    application.send_task("a.b", queue="mail")
    urgent = application.send_task("a.b", queue="mail", priority=6)
    mail, empty = await measure_queues(client, transport, ["mail", "empty"])
    assert mail.depths == ((0, 2), (3, 0), (6, 1), (9, 0))
    assert mail.head_ids == (first.id, urgent.id)
    assert mail.unacked == 0
    assert (empty.depths, empty.head_ids) == (((0, 0), (3, 0), (6, 0), (9, 0)), ())


async def test_handed_out_messages_are_counted_by_queue_and_found(
    application: Celery, client: Redis, redis_url: str, stock_worker: Process
) -> None:
    transport = Transport.from_options(redis_url)
    later = [application.send_task("stock.add", (1,), countdown=600) for _ in range(3)]
    eventually(lambda: all(one.id in stock_worker.output() for one in later))
    (measured,) = await measure_queues(client, transport, ["celery"])
    assert (measured.unacked, sum(depth for _, depth in measured.depths)) == (3, 0)
    found = await find_handed_out(client, transport)
    assert {one.task_id for one in found} == {one.id for one in later}
    assert await find_queue_names(client, transport) == {"celery"}


async def test_queues_are_known_from_settings_workers_and_bindings(
    application: Celery, client: Redis, redis_url: str, tmp_path: Path
) -> None:
    with redis.Redis.from_url(redis_url) as sync:
        sync.sadd("_kombu.binding.celery", "key\x06\x16\x06\x16bound")
        sync.sadd("_kombu.binding.celery", b"\xff\xfe", "one\x06\x16two", "")
        sync.set("_kombu.binding.odd", "no set at all")
    options: dict[str, object] = {"task_default_queue": "reports"}
    process = start_stock_worker(redis_url, tmp_path / "worker.log", "-P", "solo", settings=options)
    try:
        transport = Transport.from_options(redis_url, queues=["odd"])

        async def all_found() -> bool:
            names = await find_queue_names(client, transport)
            return names == {"celery", "bound", "odd", "reports"}

        await eventually_async(all_found)
    finally:
        process.stop()


async def test_too_many_handed_out_messages_leave_a_queue_s_own_share_unknown(
    client: Redis, redis_url: str
) -> None:
    await client.hset(
        "unacked", mapping={f"t{n}": "[{}, '', 'q']" for n in range(UNACKED_LIMIT + 1)}
    )
    (measured,) = await measure_queues(client, Transport.from_options(redis_url), ["q"])
    assert measured.unacked is None


HOSTILE = [
    b"",
    b"\xff\x00",
    b"null",
    b"{}",
    b"[" * 5000,
    b'{"body": 5, "headers": {"id": "a", "task": "b"}}',
    b'{"body": "e30=", "headers": {"id": "a\\n", "task": "b"}}',
    b'{"body": "e30=", "headers": {"id": 7, "task": "b"}}',
    b'{"body": "W10=", "properties": []}',
    b'{"body": "e30="}',
]


async def test_hostile_messages_are_passed_over(client: Redis, redis_url: str) -> None:
    transport = Transport.from_options(redis_url)
    headers = b'{"id": "p", "task": "<b>\\u0000"}'
    odd = b'{"body": "gAN9cQAu", "content-type": "pickle", "headers": %s}' % headers
    await client.rpush("mail", *HOSTILE, odd)
    await client.set("celery", "not a list")
    await client.hset("unacked", mapping={f"{n}": value for n, value in enumerate(HOSTILE)})
    assert await find_handed_out(client, transport) == []
    found = await find_waiting(client, transport, ["celery", "mail"])
    assert [(one.task_id, one.name, one.args) for one in found] == [("p", "<b>�", None)]
    celery, mail = await measure_queues(client, transport, ["celery", "mail"])
    assert celery.depths[0] == (0, 0)
    assert mail.depths[0] == (0, len(HOSTILE) + 1)
    assert mail.head_ids == ("p",)
    await client.delete("unacked")
    await client.set("unacked", "not a hash")
    assert await find_handed_out(client, transport) == []
    assert (await measure_queues(client, transport, ["mail"]))[0].unacked == 0


async def test_a_message_of_protocol_1_is_found(
    application: Celery, client: Redis, redis_url: str
) -> None:
    application.conf.task_protocol = 1
    sent = application.send_task("a.b", (1,), {"k": 2}, queue="mail")
    (found,) = await find_waiting(client, Transport.from_options(redis_url), ["mail"])
    assert (found.task_id, found.name, found.args, found.kwargs) == (
        sent.id,
        "a.b",
        "[1]",
        '{"k": 2}',
    )


async def test_stored_results_are_fetched_in_batches(
    application: Celery, client: Redis, redis_url: str
) -> None:
    transport = Transport.from_options(redis_url)
    for number in range(700):
        application.backend.store_result(f"t{number}", number, "SUCCESS")
    await client.set("celery-task-meta-bad", b"\x80pickle")
    ids = [f"t{number}" for number in range(700)] + ["nobody", "bad", "new\nline"]
    found = await fetch_results(client, transport, ids)
    assert [(one.task_id, one.result) for one in found] == [
        (f"t{number}", str(number)) for number in range(700)
    ]
    assert await fetch_results(client, Transport.from_options(redis_url, "none"), ids) == []


async def test_a_full_look_leaves_every_byte_on_the_broker_as_it_was(
    application: Celery, client: Redis, redis_url: str
) -> None:
    """Also a message that was handed out long ago: others would queue it again."""
    transport = Transport.from_options(redis_url)
    application.send_task("a.b", (1,))
    with redis.Redis.from_url(redis_url) as sync:
        message = json.loads(sync.lindex("celery", 0))
        sync.hset("unacked", "tag", json.dumps([message, "", "celery"]))
        sync.zadd("unacked_index", {"tag": time.time() - 86_400})
    application.backend.store_result("t1", 1, "SUCCESS")
    application.close()
    before = contents(redis_url)
    await ask_workers(client, transport)
    queues = sorted(await find_queue_names(client, transport))
    await find_waiting(client, transport, queues)
    await find_handed_out(client, transport)
    await measure_queues(client, transport, queues)
    await fetch_results(client, transport, ["t1"])
    assert contents(redis_url) == before


async def test_a_broker_that_is_gone_is_said_by_each(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "gone").start()
    client, transport = connect(server.url), Transport.from_options(server.url)
    server.stop()
    for look in (
        ask_workers(client, transport),
        find_waiting(client, transport, ["celery"]),
        find_handed_out(client, transport),
        measure_queues(client, transport, ["celery"]),
        find_queue_names(client, transport),
        fetch_results(client, transport, ["t1"]),
    ):
        with pytest.raises(BrokerUnavailable):
            await look
    await client.aclose()


@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        ("celery.concurrency.prefork:TaskPool", "prefork"),
        ("celery.concurrency.thread:TaskPool", "threads"),
        ("celery.concurrency.gevent:TaskPool", "gevent"),
        ("celery.concurrency.solo:TaskPool", "solo"),
        ("odd", "odd"),
        ("", None),
        (None, None),
    ],
)
def test_a_pool_goes_by_the_name_that_people_know(
    implementation: str | None, name: str | None
) -> None:
    assert short_pool(implementation) == name


def test_hostile_answers_are_read_as_far_as_they_go() -> None:
    bad = ["", "null", "5", "[5]", '[{"id": 5}]', '{"error": "no"}', "[" * 5000, '[{"name": 5}]']
    for answer in bad:
        asked = {"w": answer}
        (report,) = read_reports(asked, asked, asked, asked, 1.0)
        assert (report.worker, report.pid, report.pool) == ("w", None, None)
        assert list(read_held(asked, asked, asked, 1.0)) == []
    stats = {"w\x00": '{"pid": "x", "pool": {"max-concurrency": 4, "processes": "N/A"}}'}
    (report,) = read_reports(stats, {}, {}, {}, 1.0)
    assert (report.worker, report.concurrency, report.pid) == ("w�", 4, None)
    names = {"w": '["app.add [rate_limit=1/m]", "", 5, "app.<b>"]'}
    (report,) = read_reports({}, {}, names, {"w": '{"error": "unknown"}'}, 1.0)
    assert report.catalog == (("5", None), ("app.<b>", None), ("app.add", None))
