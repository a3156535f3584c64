"""What sending costs, counted: these figures don't depend on the machine, and must not grow."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis

from app.broker import errand, line, watch
from app.broker.durable import STREAM
from app.broker.ids import uuids
from app.broker.message import Arguments, Submission
from app.broker.publish import Publisher
from app.broker.resp import pack
from app.broker.transport import Transport
from app.operations.catalog import Catalog
from app.operations.submit import check_all
from app.web.api.bodies import Batch
from app.web.api.decode import decode
from app.web.api.submit import submission
from tests.support import PATIENCE

ADD = Submission(name="worker.tasks.add", args="[2, 3]", values=Arguments([2, 3], {}))
TASKS = 1_000

LOOKED_AT = Counter(["time", "type", "get", "llen", "lrange"])
LEDGER = Counter(["hset", "rpush", "set", "expire", "expire"])
SENT = Counter(["lpush", "xadd", "publish"])
IN_THE_SCRIPT = LOOKED_AT + LEDGER + SENT
CALLS_PER_TASK = 44
"""Calls of Python functions, built-in ones included, for a task of a batch: 42 when measured."""
CALLS_PER_REQUEST = 142
"""The same for a task that is sent alone beside a thousand others, the event loop's own included:
135 when measured."""


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever counts calls slows them down: the time that tasks have is not what is tested here."""
    monkeypatch.setattr(errand, "SENT_WITHIN", PATIENCE)
    for module in (errand, line, watch):
        monkeypatch.setattr(module, "ANSWERED_WITHIN", 2 * PATIENCE)


@pytest.fixture
async def publisher(redis_url: str, unhurried: None) -> AsyncIterator[Publisher]:
    publisher = Publisher(Transport(url=redis_url, result_url=""), STREAM)
    await publisher.open()
    await publisher.publish([ADD])
    yield publisher
    await publisher.close()


def commands(client: redis.Redis) -> Counter[str]:
    """How often each command was carried out since the statistics were reset."""
    found = Counter(
        {
            name.removeprefix("cmdstat_"): figures["calls"]
            for name, figures in client.info("commandstats").items()
        }
    )
    # Redis 6 does not count what follows a command's name by itself.
    return found - Counter({"info": 1, "config|resetstat": 1, "config": 1, "client|setinfo": 9})


async def test_one_task_is_one_round_trip(publisher: Publisher, client: redis.Redis) -> None:
    client.config_resetstat()
    await publisher.publish([ADD])
    assert commands(client) == {"evalsha": 1, **IN_THE_SCRIPT}


async def test_tasks_sent_at_once_share_what_a_script_does(
    publisher: Publisher, client: redis.Redis
) -> None:
    client.config_resetstat()
    await asyncio.gather(*(publisher.publish([ADD]) for _ in range(50)))
    found = commands(client)
    assert client.llen("celery") == 51
    # Who comes first goes alone; who comes while he is on his way goes with all the others.
    assert found["evalsha"] <= 2
    assert found.total() <= 2 * (1 + IN_THE_SCRIPT.total())


async def test_a_batch_is_a_command_for_each_hundred_tasks(
    publisher: Publisher, client: redis.Redis
) -> None:
    client.config_resetstat()
    await publisher.publish([ADD] * TASKS)
    found = commands(client)
    assert client.llen("celery") == TASKS + 1
    assert (found["evalsha"], found["eval"], found["exec"]) == (1, 1, 1)
    for command in ("lpush", "rpush", "hset", "xadd", "publish"):
        assert found[command] == TASKS / 100, command
    assert found.total() < 5 * TASKS / 100 + 40


def calls_of(made: Counter[str]) -> Callable[[object, str, object], None]:
    def count(frame: object, event: str, argument: object) -> None:
        made[event] += 1

    return count


async def test_a_task_of_a_batch_takes_few_calls(publisher: Publisher) -> None:
    tasks = [{"name": ADD.name, "args": [number, 3]} for number in range(TASKS)]
    body = json.dumps({"tasks": tasks}).encode()
    made = Counter[str]()

    async def all_of_it() -> None:
        given = decode(body, Batch).tasks
        submissions = [submission(task, ("body", n), 0.0) for n, task in enumerate(given)]
        await check_all(submissions, Catalog({}), batch=True)
        ids = uuids(b"0" * 16, TASKS)
        one = publisher._errand(submissions, ids, ("", "", ""))
        for step in publisher._commit._calls.transaction(one, "1", streamed=True):
            assert pack(step)

    await all_of_it()
    sys.setprofile(calls_of(made))
    try:
        await all_of_it()
    finally:
        sys.setprofile(None)
    assert (made["call"] + made["c_call"]) / TASKS < CALLS_PER_TASK


async def test_a_request_takes_few_calls(publisher: Publisher) -> None:
    made = Counter[str]()
    sys.setprofile(calls_of(made))
    try:
        await asyncio.gather(*(publisher.publish([ADD]) for _ in range(TASKS)))
    finally:
        sys.setprofile(None)
    assert (made["call"] + made["c_call"]) / TASKS < CALLS_PER_REQUEST
