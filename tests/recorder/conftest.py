"""A recorder in the test's own loop, with its store, and what it has announced."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.broker.transport import Transport
from tests.recorder.support import Recording


@pytest.fixture
async def recording(redis_url: str, tmp_path: Path) -> AsyncIterator[Recording]:
    """A recorder that listens to an empty Redis."""
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    await recording.start()
    yield recording
    async with asyncio.timeout(20):
        await recording.stop()
