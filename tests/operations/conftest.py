"""Operations on a real store and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
import redis

from app.broker.connection import connect
from app.broker.publish import Publisher
from app.broker.transport import Transport
from app.domain.tasks import Task
from app.domain.workers import Worker
from app.operations.actor import Actor
from app.operations.operations import Operations
from app.store import writer
from app.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")
SOMEBODY = Actor("anyone", "127.0.0.1")


async def run(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(read, *args, **kwargs)


@dataclass
class House:
    """What operations stand on, and what they left on it."""

    operations: Operations
    db: Database
    redis: "redis.Redis"
    url: str
    actor: Actor = field(default=SOMEBODY)

    def keep(self, *tasks: Task) -> None:
        writer.commit(self.db, writer.Batch(tasks=list(tasks)))

    def employ(self, *workers: Worker) -> None:
        writer.commit(self.db, writer.Batch(workers=list(workers)))

    def waiting(self, queue: str = "celery") -> int:
        return int(self.redis.llen(queue))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database.open(tmp_path / "umbel.db")
    yield db
    db.close()


@pytest.fixture
async def house(redis_url: str, db: Database) -> AsyncIterator[House]:
    transport = Transport(url=redis_url, result_url=redis_url)
    publisher = Publisher(transport)
    await publisher.open()
    broker = connect(redis_url)
    operations = Operations(db=db, publisher=publisher, broker=broker, transport=transport, run=run)
    with redis.Redis.from_url(redis_url) as client:
        yield House(operations, db, client, redis_url)
    await publisher.close()
    await broker.connection_pool.disconnect()
