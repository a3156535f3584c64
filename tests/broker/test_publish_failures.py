"""Once, and not too late, on real Redis servers that freeze, end, or lose a connection."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app.broker import line
from app.broker.calls import Call
from app.broker.errand import Errand
from app.broker.ids import uuids
from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.transport import Transport
from app.domain.errors import BadInput, BrokerUnavailable
from tests.support import RedisServer, eventually_async, free_port

ADD = Submission(name="worker.tasks.add", args="[2, 3]")


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    yield publisher
    await publisher.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    server = RedisServer(tmp_path / "own").start()
    yield server
    server.stop()


async def test_a_frozen_redis_that_wakes_up_later_sends_nothing(server: RedisServer) -> None:
    assert server.process is not None
    publisher = Publisher(Transport(url=server.url, result_url=""))
    await publisher.open()
    await publisher.publish([ADD])
    server.process.signal(signal.SIGSTOP)
    started = time.monotonic()
    calls = [publisher.publish([ADD]) for _ in range(5)]
    calls.append(publisher.publish([ADD], idempotency=("key", "request")))
    calls.append(publisher.publish([ADD] * 2_000))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    took = time.monotonic() - started
    server.process.signal(signal.SIGCONT)
    assert all(isinstance(answer, BrokerUnavailable) for answer in answers), answers
    assert took < 10, "two seconds, and room for a busy machine"

    with redis.Redis.from_url(server.url) as client:
        await eventually_async(lambda: asyncio.to_thread(client.ping))
        # Whatever was on its way is carried out before this connection's next command but one.
        late = await publisher.publish([ADD])
        assert client.llen("celery") == 2
        assert json.loads(client.lindex("celery", 0))["headers"]["id"] == late.task_ids[0]
        assert client.exists("umbel:idempotency") == 0
    await publisher.close()


async def test_a_redis_that_freezes_within_a_batch_does_not_send_it_when_it_wakes_up(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = server.process
    assert process is not None
    publisher = Publisher(Transport(url=server.url, result_url=""))
    await publisher.open()
    calls = publisher._commit._calls
    plain = calls.transaction

    def frozen_after_the_check(*given: Any, **more: Any) -> Iterator[Any]:
        process.signal(signal.SIGSTOP)
        yield from plain(*given, **more)

    monkeypatch.setattr(calls, "transaction", frozen_after_the_check)
    with pytest.raises(BrokerUnavailable, match="nothing was sent"):
        await publisher.publish([ADD] * 200)
    process.signal(signal.SIGCONT)
    with redis.Redis.from_url(server.url) as client:
        await eventually_async(lambda: asyncio.to_thread(client.ping))
        monkeypatch.setattr(calls, "transaction", plain)
        sent = await publisher.publish([ADD] * 200)
        assert client.llen("celery") == 200
        assert json.loads(client.rpop("celery"))["headers"]["id"] == sent.task_ids[0]
        assert not client.keys("umbel:sending:*")
    await publisher.close()


async def test_a_redis_that_is_not_there_is_told_at_once() -> None:
    publisher = Publisher(Transport(url=f"redis://127.0.0.1:{free_port()}/0", result_url=""))
    await publisher.open()
    with pytest.raises(BrokerUnavailable, match="nothing was sent") as refused:
        await publisher.publish([ADD])
    assert "in time" not in str(refused.value), "nor did it wait for an answer"
    await publisher.close()


async def test_a_redis_that_was_restarted_is_used_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "IDLE", 0.0)
    publisher = Publisher(Transport(url=server.url, result_url=""))
    await publisher.open()
    await publisher.publish([ADD])
    server.stop()
    with pytest.raises(BrokerUnavailable, match="nothing was sent"):
        await publisher.publish([ADD])
    server.start()
    sent = await publisher.publish([ADD])
    with redis.Redis.from_url(server.url) as client:
        assert client.llen("celery") == 1
        # A server that has forgotten its scripts, as a failover or an administrator has it.
        client.script_flush()
        await asyncio.gather(*(publisher.publish([ADD]) for _ in range(20)))
        assert client.llen("celery") == 21
        # A connection that was cut while nobody looked.
        client.client_kill_filter(_type="normal", skipme=True)
        await publisher.publish([ADD])
        assert client.llen("celery") == 22
    assert sent.task_ids
    await publisher.close()


def again(publisher: Publisher, make: str) -> Callable[[Any], Call]:
    """Makes calls as they are made again after the connection was lost."""
    plain = getattr(publisher._commit._calls, make)

    def made(given: Any) -> Call:
        call: Call = plain(given)
        call.sent_before = True
        return call

    return made


async def test_what_was_sent_is_not_sent_again_when_the_answer_is_lost(
    publisher: Publisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in (1, 1_000):
        ids = uuids(b"0" * 16, count)
        first = publisher._errand([ADD] * count, ids, ("", "", ""))
        written = [one for piece in first.pieces() for one in piece]
        for key in ("", "key"):
            client.flushall()
            request = (first.queues, first.size, "0" * 32, key, "request")
            await publisher._commit.run(Errand(written, iter(()), *request))
            with monkeypatch.context() as patch:
                for make in ("for_script", "for_transaction"):
                    patch.setattr(publisher._commit._calls, make, again(publisher, make))
                outcome = await publisher._commit.run(Errand(written, iter(()), *request))
            assert outcome.kind == "replayed" if key else "sent"
            assert client.llen("celery") == count


async def test_a_batch_is_sent_whole_when_the_connection_is_lost_on_the_way(
    publisher: Publisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher.publish([ADD])
    client.flushall()
    calls = publisher._commit._calls
    plain = calls.transaction

    def cut_on_the_way(*given: Any, **more: Any) -> Iterator[Any]:
        for number, step in enumerate(plain(*given, **more)):
            if number == 20:
                monkeypatch.setattr(calls, "transaction", plain)
                client.client_kill_filter(_type="normal", skipme=True)
            yield step

    monkeypatch.setattr(calls, "transaction", cut_on_the_way)
    sent = await publisher.publish([ADD] * 1_050)
    assert calls.transaction == plain
    queued = [json.loads(message)["headers"]["id"] for message in client.lrange("celery", 0, -1)]
    assert tuple(reversed(queued)) == sent.task_ids
    assert client.hlen("umbel:submitted") == 1_050


async def test_a_batch_with_a_task_that_cannot_be_written_is_not_sent(
    publisher: Publisher, client: redis.Redis
) -> None:
    bad = Submission(name="app.add", args="{}")
    with pytest.raises(BadInput, match=r"Task 900 of 'app\.add' can't be sent: args is not"):
        await publisher.publish([ADD] * 900 + [bad] + [ADD] * 100)
    assert client.llen("celery") == client.hlen("umbel:submitted") == 0
    await publisher.publish([ADD] * 300)
    assert client.llen("celery") == 300
