"""The store goes away under a running server: every page says so, and comes back by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http import new_client
from tests.postgres import PostgresServer
from tests.support import RedisServer, eventually
from tests.web.conftest import Site, submit

PAGES = ("/", "/ui/tasks", "/ui/queues", "/ui/workers", "/ui/submit", "/ui/data-quality")
HTML = {"Accept": "text/html"}


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, which it may stop."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def own(tmp_path: Path, postgres: PostgresServer) -> Iterator[Site]:
    redis = RedisServer(tmp_path / "redis").start()
    site = Site(redis, tmp_path, env={"UMBEL_DATABASE_URL": postgres.url()}).start()
    eventually(site.ready)
    yield site
    site.stop()
    redis.stop()


def test_every_page_is_as_it_was_and_says_so_while_the_store_is_away(
    own: Site, postgres: PostgresServer
) -> None:
    with new_client(base_url=own.url, timeout=30, headers=HTML) as client:
        task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
        pages = (*PAGES, f"/ui/tasks/{task_id}")
        eventually(lambda: task_id in client.get("/ui/tasks").text)
        for path in pages:
            assert client.get(path).status_code == 200, path
        postgres.kill()

        def not_ready() -> bool:
            told = client.get("/readyz")
            return told.status_code == 503 and not told.json()["store"]["ok"]

        eventually(not_ready)
        eventually(lambda: "The store does not answer." in client.get("/").text)
        for path in pages:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "The store does not answer." in answer.text, path
            stale = "What stands here is as it was" in answer.text
            assert stale or path == "/ui/data-quality", path
        never = client.get("/ui/tasks/never-shown")
        assert never.status_code == 503
        assert "The store does not answer" in never.text
        assert 'http-equiv="refresh"' in never.text
        assert "unknown since" in client.get("/ui/data-quality").text

        for path in ("/tasks", "/stats", "/queues", "/workers", f"/tasks/{task_id}"):
            told = client.get(path)
            assert told.status_code == 503, path
            assert told.headers["content-type"] == "application/problem+json"
            assert int(told.headers["retry-after"]) >= 1
        assert 'umbel_up{part="store"} 0.0' in client.get("/metrics").text

        postgres.start()
        eventually(own.ready)
        for path in pages:
            eventually(lambda path=path: "What stands here" not in client.get(path).text)  # type: ignore[misc]
        assert client.get("/ui/tasks/never-shown").status_code == 404
