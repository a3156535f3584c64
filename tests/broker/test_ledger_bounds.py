"""The ledger of what was just sent: bounded by age, by number and by size, and gone by itself."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from app.broker import commit, ledger, line, script
from app.broker.connection import connect
from app.broker.ledger import find_all_submitted
from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.transport import Transport

ADD = Submission(name="app.add", args="[2, 3]")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    yield publisher
    await publisher.close()


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """The same script with smaller limits."""
    short = script.send_script(**limits)
    monkeypatch.setattr(commit, "SEND", short)
    monkeypatch.setattr(line, "SEND", short)


def assert_consistent(client: redis.Redis) -> None:
    entries = client.hgetall(ledger.SUBMITTED)
    order = client.lrange(ledger.SUBMITTED_ORDER, 0, -1)
    assert {line.split(b" ", 2)[2] for line in order} == set(entries)
    assert int(client.get(ledger.SUBMITTED_BYTES) or 0) == sum(map(len, entries.values()))


async def test_the_oldest_make_room_by_number(
    publisher: Publisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    limit(monkeypatch, ledger_tasks=5)
    ids: list[str] = []
    for _ in range(4):
        ids += (await publisher.publish([ADD] * 3)).task_ids
        assert_consistent(client)
    reader = connect(redis_url)
    found = await find_all_submitted(reader, Transport(url=redis_url, result_url=""), ids)
    await reader.connection_pool.disconnect()
    assert set(found) == set(ids[-5:])
    assert client.llen("celery") == 12


async def test_the_oldest_make_room_by_size(
    publisher: Publisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, ledger_bytes=10_000)
    large = Submission(name="app.add", args=json.dumps(["x" * 4_000]))
    for _ in range(5):
        await publisher.publish([large])
        assert_consistent(client)
    assert client.hlen(ledger.SUBMITTED) == 2


async def test_all_of_it_expires(publisher: Publisher, client: redis.Redis) -> None:
    await publisher.publish([ADD])
    for key in (ledger.SUBMITTED, ledger.SUBMITTED_ORDER, ledger.SUBMITTED_BYTES):
        assert 0 < client.ttl(key) <= ledger.LEDGER_SECONDS


async def test_what_is_too_old_goes_with_the_next_submission(
    publisher: Publisher, client: redis.Redis
) -> None:
    await publisher.publish([ADD] * 1_500)
    (line,) = client.lrange(ledger.SUBMITTED_ORDER, 0, 0)
    old = int(line.split(b" ")[0]) - (ledger.LEDGER_SECONDS + 1) * 1_000_000
    lines = client.lrange(ledger.SUBMITTED_ORDER, 0, 1_199)
    for place, line in enumerate(lines):
        client.lset(ledger.SUBMITTED_ORDER, place, f"{old} ".encode() + line.split(b" ", 1)[1])
    await publisher.publish([ADD])
    assert client.hlen(ledger.SUBMITTED) == 301
    assert_consistent(client)
