"""The durable stream as it is on the wire: what is read of it, and what is told of the rest."""

import json
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from app.broker import durable
from app.broker.durable import (
    BEGINNING,
    Entry,
    EventStream,
    Mark,
    host_of,
    quoted,
    read_entries,
    read_mark,
    stream_key,
)
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable
from app.domain.events import TaskReceived, TaskSent, TaskStarted
from tests.broker.messages import HEARD_AT, envelope, task_event
from tests.support import RedisServer

PRODUCER = b"w1@vm|7|0123abcd"


def entry(body: object, producer: bytes = PRODUCER, number: bytes = b"1", **more: bytes) -> Entry:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [b"p", producer, b"n", number, b"e", text]
    for name, value in more.items():
        fields += [name.encode(), value]
    return Entry(b"1-0", fields, HEARD_AT)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(redis_url, protocol=2)
    yield client
    await client.aclose()


def test_an_entry_is_the_events_of_its_producer_with_what_the_plugin_adds() -> None:
    received = task_event(
        "task-received",
        name="a",
        queue="mail",
        priority=6,
        redelivered=True,
        group="g1",
        group_index=2,
        chord="c1",
    )
    started = task_event("task-started")
    reading = read_entries([entry([received, started], number=b"12", d=b"3")])
    [words] = reading.words
    told = (words.producer, words.number, words.total, words.dropped)
    assert told == (PRODUCER.decode(), 12, 2, 3)
    assert words.events == [
        TaskReceived(
            "t1",
            HEARD_AT - 1,
            HEARD_AT,
            worker="w1@vm",
            name="a",
            queue="mail",
            priority=6,
            group_id="g1",
            chord_id="c1",
            redelivered=True,
        ),
        TaskStarted("t1", HEARD_AT - 1, HEARD_AT, worker="w1@vm"),
    ]
    assert not reading.reasons


def test_a_producer_of_the_plugin_tells_priority_group_and_chord() -> None:
    sent = task_event("task-sent", name="a", queue="q", priority=3, group="g1", chord="c1")
    [words] = read_entries([entry([sent])]).words
    [event] = words.events
    assert isinstance(event, TaskSent)
    assert (event.queue, event.priority, event.group_id, event.chord_id) == ("q", 3, "g1", "c1")


def test_fields_may_stand_in_any_order_and_have_strangers_between_them() -> None:
    body = json.dumps([task_event("task-started")]).encode()
    fields = [b"x", b"?", b"e", body, b"n", b"5", b"d", b"4", b"p", PRODUCER]
    [words] = read_entries([Entry(b"1-0", fields, HEARD_AT)]).words
    assert (words.producer, words.number, words.dropped) == (PRODUCER.decode(), 5, 4)
    assert len(words.events) == 1


def test_one_bad_event_costs_no_other() -> None:
    good = task_event("task-started")
    body = [good, {"type": "task-started"}, 5, {**good, "uuid": "t2"}, {"type": "unheard-of"}]
    reading = read_entries([entry(body)])
    [words] = reading.words
    assert [event.task_id for event in words.events] == ["t1", "t2"]  # type: ignore[union-attr]
    assert words.total == 5
    assert reading.reasons.total() == 3


@pytest.mark.parametrize(
    "bad",
    [
        Entry(b"1-0", [], HEARD_AT),
        Entry(b"1-0", [b"p", PRODUCER, b"n", b"1"], HEARD_AT),
        Entry(b"1-0", [b"p"], HEARD_AT),
        entry(b"", number=b"1"),
        entry(b"\x00\xff"),
        entry(b"[" * 100_000),
        entry(b'{"type": '),
        entry(5),
        entry([[]]),
    ],
)
def test_one_bad_entry_is_counted_and_costs_no_other(bad: Entry) -> None:
    reading = read_entries([bad, entry([task_event("task-started")])])
    assert reading.reasons.total() >= 1
    assert [event for words in reading.words for event in words.events] == [
        TaskStarted("t1", HEARD_AT - 1, HEARD_AT, worker="w1@vm")
    ]


@pytest.mark.parametrize("name", [b"", b"\xff", b"x" * 10_000, b"a\nb|1|2"])
def test_events_of_a_producer_without_a_proper_name_are_heard_all_the_same(name: bytes) -> None:
    [words] = read_entries([entry([task_event("task-started")], producer=name)]).words
    assert words.producer == ""
    assert len(words.events) == 1


@pytest.mark.parametrize("number", [b"", b"-1", b"x", b"1.5", b"9" * 30, "¹".encode()])
def test_a_number_that_is_none_is_none(number: bytes) -> None:
    [words] = read_entries([entry([task_event("task-started")], number=number)]).words
    assert words.number == 0
    assert len(words.events) == 1


def test_a_mark_tells_whose_message_it_is_and_which() -> None:
    message = json.loads(envelope(task_event("task-started")))
    assert read_mark(json.dumps(message).encode()) is None
    message["headers"] = {"hostname": 'w"é@vm', "umbel": 17}
    mark = read_mark(json.dumps(message).encode())
    assert mark == Mark(quoted('w"é@vm'), 17, False)
    assert mark.host == host_of('w"é@vm|7|0123abcd')
    message["properties"]["delivery_info"] = {"routing_key": "worker.heartbeat"}
    mark = read_mark(json.dumps(message).encode())
    assert mark is not None
    assert mark.of_worker


def test_text_inside_an_event_is_no_mark() -> None:
    text = '"headers": {"hostname": "w1@vm", "umbel": 5}'
    plain = json.dumps({"body": text, "headers": {"hostname": "w1@vm"}}).encode()
    assert read_mark(plain) is None
    assert read_mark(b', "umbel": ') is None
    assert read_mark(b'"headers": {"hostname": "w", "umbel": x}') is None


def test_the_stream_has_the_application_s_prefix_at_its_end() -> None:
    transport = Transport.from_options("redis://127.0.0.1/0")
    assert stream_key(transport) == "umbel:events"
    options = {"global_keyprefix": "shop:"}
    transport = Transport.from_options("redis://127.0.0.1/0", broker_transport_options=options)
    assert stream_key(transport) == "umbel:events:shop:"


async def test_entries_are_read_once_and_in_order(redis: "Redis") -> None:
    for number in range(120):
        await redis.xadd("s", {"p": "a|1|2", "n": number, "e": "[]"})
    stream = EventStream(redis, "s")
    numbers: list[int] = []
    while entries := (await stream.read(block=0.01))[0]:
        numbers += [words.number for words in read_entries(entries).words]
    assert numbers == list(range(120))
    assert stream.drained
    await stream.close()


async def test_it_is_noticed_when_the_entry_at_the_position_is_gone(redis: "Redis") -> None:
    ids: list[bytes] = []
    for _ in range(3):
        ids += [cast(bytes, await redis.xadd("s", {"p": "a|1|2", "n": 1, "e": "[]"}))]
    stream = EventStream(redis, "s", ids[0].decode())
    assert (await stream.look()).stands
    await redis.xtrim("s", maxlen=1, approximate=False)
    entries, look = await stream.read()
    assert [entry.id for entry in entries] == [ids[2]]
    assert not look.stands
    await redis.flushall()
    entries, look = await stream.read(block=0.01)
    assert entries == []
    assert not look.stands
    assert look.entries == 0
    stream.position = BEGINNING
    assert (await stream.look()).stands
    await stream.close()


async def test_an_entry_was_heard_when_it_was_written_and_never_later_than_now(
    redis: "Redis",
) -> None:
    now = time.time()
    long_ago, ahead = f"{int((now - 3600) * 1000)}-0", f"{int((now + 3600) * 1000)}-0"
    await redis.xadd("s", {"p": "a|1|2", "n": 1, "e": "[]"}, id=long_ago)
    await redis.xadd("s", {"p": "a|1|2", "n": 1, "e": "[]"}, id=ahead)
    stream = EventStream(redis, "s")
    (old, new), _ = await stream.read()
    assert abs(old.heard_at - (now - 3600)) < 1
    assert now <= new.heard_at <= time.time()
    await stream.close()


async def test_a_key_of_another_kind_and_a_server_that_is_gone_are_said(
    redis: "Redis", redis_server: RedisServer
) -> None:
    await redis.set("s", "text")
    stream = EventStream(redis, "s")
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await stream.look()
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await stream.read()
    await redis.delete("s")
    assert (await stream.look()).entries == 0
    await stream.close()
    nowhere = Redis.from_url("redis://127.0.0.1:1/0", protocol=2)
    with pytest.raises(BrokerUnavailable):
        await EventStream(nowhere, "s").look()
    await nowhere.aclose()


async def test_large_entries_are_read_a_few_at_a_time(redis: "Redis") -> None:
    for number in range(60):
        await redis.xadd("s", {"p": "a|1|2", "n": number, "e": "x" * 300_000})
    stream = EventStream(redis, "s")
    await stream.read()
    entries, _ = await stream.read()
    assert 1 <= len(entries) <= 15
    await stream.close()


async def test_an_answer_that_comes_too_late_is_not_taken_for_an_empty_one(
    redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "ANSWER_SECONDS", 0.1)
    await redis.xadd("s", {"p": "a|1|2", "n": 1, "e": "[]"})
    stream = EventStream(redis, "s")
    await stream.look()
    await redis.execute_command("CLIENT", "PAUSE", "1000")
    with pytest.raises(BrokerUnavailable):
        await stream.read(block=0.1)
    await redis.execute_command("CLIENT", "UNPAUSE")
    entries, look = await stream.read(block=0.1)
    assert (len(entries), look.entries) == (1, 1)
    await stream.close()
