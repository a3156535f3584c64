"""Fixtures for every layer: a real Redis for the run, real workers where a test asks for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.postgres import PostgresServer
from tests.support import Process, RedisServer, start_worker


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of this test process; a test that breaks it starts its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a Redis that holds nothing."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this test process; a test that breaks it starts its own."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts real workers of the sample application on this test's Redis; stops them after it."""
    started: list[Process] = []

    def start(*options: str, name: str = "w1", **more: object) -> Process:
        log = tmp_path / f"worker-{name}-{len(started)}.log"
        process = start_worker(redis_url, log, *options, name=name, **more)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()
