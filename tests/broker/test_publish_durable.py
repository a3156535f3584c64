"""What is sent from here stands on the stream of durable events in the very step that sends it."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from app.broker.calls import CHECK_BYTES
from app.broker.durable import Entry, read_entries, read_mark, stream_beside_queues
from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.transport import Transport
from app.domain.errors import BadInput
from app.domain.events import TaskSent
from tests.support import eventually

STREAM = "umbel:events"
ADD = Submission(name="app.add", args="[2, 3]", queue="mail", priority=3)
BOUND = 2 * CHECK_BYTES


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(Transport(url=redis_url, result_url=""), STREAM, BOUND)
    await publisher.open()
    yield publisher
    await publisher.close()


def streamed(client: redis.Redis) -> list[TaskSent]:
    found: list[TaskSent] = []
    for id, fields in client.xrange(STREAM):
        flat = [part for pair in fields.items() for part in pair]
        reading = read_entries([Entry(id, flat, 1e9)])
        assert not reading.reasons
        [words] = reading.words
        assert words.number == 0, "their numbers could have gaps that are no losses"
        assert words.producer.count("|") == 2
        found += words.events  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("count", [1, 2, 250])
async def test_each_task_is_on_the_stream_once(
    publisher: Publisher, client: redis.Redis, count: int
) -> None:
    published = await publisher.publish([ADD] * count)
    sent = streamed(client)
    assert [event.task_id for event in sent] == list(published.task_ids)
    assert {(e.name, e.queue, e.priority, e.args) for e in sent} == {
        ("app.add", "mail", 3, "[2, 3]")
    }


async def test_what_is_published_is_marked_for_those_who_read_the_stream(
    publisher: Publisher, client: redis.Redis
) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("/0.celeryev/*")
    pubsub.get_message(timeout=5)
    await publisher.publish([ADD])
    message = eventually(lambda: pubsub.get_message(timeout=1))
    mark = read_mark(message["data"])
    assert mark is not None
    assert mark.number == 0
    [(_, fields)] = client.xrange(STREAM)
    assert json.loads(mark.host) == fields[b"p"].decode().split("|")[0]
    pubsub.close()


async def test_the_same_key_sends_and_tells_once(publisher: Publisher, client: redis.Redis) -> None:
    for _ in range(3):
        await publisher.publish([ADD], idempotency=("key", "request"))
    assert len(streamed(client)) == 1


async def test_what_is_refused_is_not_told(publisher: Publisher, client: redis.Redis) -> None:
    client.set("taken", "text")
    with pytest.raises(BadInput):
        await publisher.publish([Submission(name="app.add", queue="taken")])
    assert not client.exists(STREAM)


async def test_something_else_at_the_stream_s_place_keeps_no_task_from_being_sent(
    publisher: Publisher, client: redis.Redis
) -> None:
    client.set(STREAM, "text")
    await publisher.publish([ADD])
    assert client.llen("mail\x06\x163") == 1
    assert client.get(STREAM) == b"text"


async def test_the_stream_stays_within_its_bound(publisher: Publisher, client: redis.Redis) -> None:
    large = Submission(name="app.add", args=f'["{"x" * 10_000}"]')
    for _ in range(20):
        await publisher.publish([large] * 50)
    assert 0 < client.memory_usage(STREAM) < BOUND + 2 * CHECK_BYTES


async def test_without_a_stream_nothing_is_written_to_one(
    redis_url: str, client: redis.Redis
) -> None:
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    await publisher.publish([ADD])
    await publisher.close()
    assert not client.exists(STREAM)


@pytest.mark.parametrize(
    ("own", "beside"),
    [
        ("", True),
        ("redis://h:6379/0", True),
        ("redis://h:6379/1", False),
        ("redis://other:6379/0", False),
    ],
)
def test_only_the_broker_s_own_database_has_it_in_one_step(own: str, beside: bool) -> None:
    transport = Transport.from_options("redis://h:6379/0")
    assert stream_beside_queues(transport, own) == (STREAM if beside else None)
