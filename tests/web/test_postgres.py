"""The whole of Umbel on PostgreSQL: what happens is kept there, whatever happens to the server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http import web
from tests.postgres import PostgresServer
from tests.support import RedisServer, eventually, start_worker
from tests.web.conftest import Site


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that a test may break."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


def submit(site: Site, count: int) -> list[str]:
    task = {"name": "worker.tasks.add", "kwargs": {"x": 1, "y": 2}}
    found = web.post(f"{site.url}/tasks/batch", json={"tasks": [task] * count}, timeout=30)
    ids: list[str] = found.raise_for_status().json()["task_ids"]
    return ids


def store_trouble(site: Site) -> str:
    """What /readyz says is wrong with the store; "" where nothing is."""
    found = web.get(f"{site.url}/readyz", timeout=30).json()
    return "" if found["store"]["ok"] else str(found["store"])


def succeeded(site: Site) -> int:
    found: int = web.get(f"{site.url}/stats", timeout=30).json()["tasks"].get("SUCCESS", 0)
    return found


def test_a_server_that_is_away_is_said_and_waited_for_and_nothing_is_lost(
    server: PostgresServer, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    url = server.url(server.make_database())
    server.kill()
    site = Site(redis, tmp_path, env={"UMBEL_DATABASE_URL": url})
    worker = start_worker(redis.url, tmp_path / "worker.log")
    try:
        site.start()
        away = web.get(f"{site.url}/ui/tasks", timeout=30).text
        assert "PostgreSQL" in away
        assert "secret" not in away
        assert store_trouble(site)
        server.start()
        eventually(site.ready)
        ids = []
        for breaks, mends in ((server.kill, server.start), (server.freeze, server.thaw)):
            ids += submit(site, 100)
            breaks()
            assert "secret" not in eventually(lambda: store_trouble(site))
            mends()
            eventually(site.ready)
        eventually(lambda: succeeded(site) == len(ids), every=0.5)
        for each in ids:
            assert web.get(f"{site.url}/tasks/{each}").json()["state"] == "SUCCESS"
        assert site.process is not None
        assert "secret" not in site.process.output()
    finally:
        server.thaw()
        worker.stop()
        site.stop()
        redis.stop()
