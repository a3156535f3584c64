"""A recorder in the test's own loop, with its store, what it has announced, and its workers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from celery import Celery

from app.broker.transport import Transport
from tests.recorder.healing import producer, thaw
from tests.recorder.support import Recording
from tests.support import PATIENCE, Process


@pytest.fixture
def kind() -> type[Recording]:
    """What `recording` is."""
    return Recording


@pytest.fixture
async def recording(
    redis_url: str, tmp_path: Path, kind: type[Recording]
) -> AsyncIterator[Recording]:
    """A recorder that listens to an empty Redis."""
    recording = kind(Transport.from_options(redis_url), tmp_path)
    await recording.start()
    yield recording
    async with asyncio.timeout(PATIENCE):
        await recording.stop()


@pytest.fixture
def application(redis_url: str) -> Iterator[Celery]:
    """Sends the stock application's tasks to that Redis."""
    application = producer(redis_url)
    yield application
    application.close()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Workers that a test starts; killed after it, whatever became of them."""
    started: list[Process] = []
    yield started
    for process in started:
        if process.running():
            thaw(process)
        process.kill_group()
