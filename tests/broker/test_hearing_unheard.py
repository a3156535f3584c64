"""What a look finds of tasks that were sent, or ended, while nobody listened."""

from celery import Celery
from redis.asyncio import Redis

from app.broker import results
from app.broker.connection import connect
from app.broker.ledger import find_sent
from app.broker.publish import Publisher, Submission
from app.broker.results import find_result_ids
from app.broker.transport import Transport


async def ids_of(redis: Redis, transport: Transport) -> list[str]:
    return [task_id async for _, page in find_result_ids(redis, transport) for task_id in page]


async def test_every_result_is_found_and_nothing_else(redis_url: str) -> None:
    stored = [f"task-{number}" for number in range(1200)]
    redis = connect(redis_url)
    await redis.mset({f"celery-task-meta-{task_id}": "{}" for task_id in stored})
    await redis.set("celery-task-met", "another's")

    assert sorted(await ids_of(redis, Transport.from_options(redis_url))) == sorted(stored)
    await redis.aclose()


async def test_a_prefix_of_the_backend_is_honoured(redis_url: str) -> None:
    options = {"global_keyprefix": "shop"}
    application = Celery(broker=redis_url, backend=redis_url)
    application.conf.result_backend_transport_options = options
    redis = connect(redis_url)
    await redis.set(application.backend.get_key_for_task("t1"), "{}")
    transport = Transport.from_options(redis_url, result_backend_transport_options=options)

    assert await ids_of(redis, transport) == ["t1"]
    assert await ids_of(redis, Transport.from_options(redis_url)) == []
    await redis.aclose()


async def test_the_search_for_results_ends_in_a_database_of_other_things(
    redis_url: str,
) -> None:
    redis = connect(redis_url)
    await redis.mset({f"other:{number}": "x" for number in range(5 * results.SCAN_AT_ONCE)})

    assert await ids_of(redis, Transport.from_options(redis_url)) == []
    await redis.aclose()


async def test_what_was_sent_from_here_is_recalled_as_it_was_sent(redis_url: str) -> None:
    transport = Transport.from_options(redis_url)
    publisher = Publisher(transport)
    await publisher.open()
    published = await publisher.publish(
        [Submission(name="app.add", args=f"[{number}]", queue="mail") for number in range(3)]
    )
    await publisher.close()
    redis = connect(redis_url)
    sent = [event async for page in find_sent(redis, transport) for event in page]
    await redis.aclose()

    assert {event.task_id for event in sent} == set(published.task_ids)
    assert {(event.name, event.queue, event.priority) for event in sent} == {("app.add", "mail", 0)}
    assert sorted(event.args or "" for event in sent) == ["[0]", "[1]", "[2]"]
    assert all(event.root_id == event.task_id for event in sent)
