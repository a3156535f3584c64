"""The recorder on PostgreSQL: what it keeps and announces is what it is on SQLite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.broker.transport import Transport
from tests.postgres import PostgresServer
from tests.recorder.support import Recording
from tests.recorder.test_durable import (
    test_a_busy_stream_ends_as_many_tasks_as_it_told_of,
    test_what_is_said_while_nobody_listens_is_read_later,
)
from tests.recorder.test_recorder import (
    test_a_flood_of_hostile_messages_is_counted_and_stops_nothing,
    test_a_late_event_about_a_task_of_another_life_finds_it_in_the_store,
    test_finished_tasks_are_counted_by_the_minute_once,
    test_what_is_announced_last_is_what_is_kept,
    test_what_real_workers_said_ends_in_the_true_states,
)
from tests.support import PATIENCE

__all__ = [
    "test_a_busy_stream_ends_as_many_tasks_as_it_told_of",
    "test_a_flood_of_hostile_messages_is_counted_and_stops_nothing",
    "test_a_late_event_about_a_task_of_another_life_finds_it_in_the_store",
    "test_finished_tasks_are_counted_by_the_minute_once",
    "test_what_is_announced_last_is_what_is_kept",
    "test_what_is_said_while_nobody_listens_is_read_later",
    "test_what_real_workers_said_ends_in_the_true_states",
]


@pytest.fixture
async def recording(
    redis_url: str, tmp_path: Path, postgres_server: PostgresServer
) -> AsyncIterator[Recording]:
    """A recorder that listens to an empty Redis and writes to PostgreSQL."""
    recording = Recording(Transport.from_options(redis_url), tmp_path)
    recording.database_url = postgres_server.url(postgres_server.make_database())
    await recording.start()
    yield recording
    async with asyncio.timeout(PATIENCE):
        await recording.stop()
