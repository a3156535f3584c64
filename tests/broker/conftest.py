"""What the broker's tests need beside the fixtures that all have."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.broker.connection import connect


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stock: real workers of all supported Celery versions")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    """A connection of Umbel's own to an empty Redis."""
    client = connect(redis_url)
    yield client
    await client.aclose()
