"""The first minutes: what an empty Umbel says, and the lines that attach an application."""

from pathlib import Path

import pytest

from app.broker.transport import Transport
from app.web.pages.welcome import connection_of
from tests.http import new_client
from tests.support import PATIENCE, RedisServer, eventually, start_worker
from tests.web.conftest import Site

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        (Transport.from_options("redis://h:1/2"), ("redis://h:1/2", "redis://h:1/2", "", "")),
        (
            Transport.from_options(f"redis://me:{SECRET}@h:1/2", "disabled://"),
            ("redis://***@h:1/2", "", "", ""),
        ),
        (
            Transport.from_options(
                "redis://h/0",
                f"redis://:{SECRET}@r/1",
                {"global_keyprefix": "a:"},
                event_exchange="ev",
            ),
            ("redis://h/0", "redis://***@r/1", "a:", "ev"),
        ),
    ],
)
def test_an_application_is_told_what_it_has_to_have_the_same_and_no_secret(
    transport: Transport, said: tuple[str, str, str, str]
) -> None:
    found = connection_of(transport)

    assert (found.broker, found.results, found.prefix, found.exchange) == said
    assert found.has_secret == (SECRET in transport.url)


def test_an_empty_umbel_says_what_it_sees_until_there_is_a_task(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis").start()
    site = Site(server, tmp_path).start()
    worker = None
    try:
        with new_client(base_url=site.url, timeout=PATIENCE) as client:
            eventually(site.ready)
            page = client.get("/").text
            assert server.url in page
            assert "No worker is heard yet." in page
            assert "Run the three sample tasks" not in page
            worker = start_worker(server.url, tmp_path / "worker.log")
            eventually(lambda: "Run the three sample tasks" in client.get("/").text)
            assert "1 worker is online: w1@test" in client.get("/").text

            sent = client.post("/ui/samples", headers={"Origin": site.url})

            assert (sent.status_code, sent.headers["location"]) == (303, "/ui/tasks")
            names = {"worker.tasks.add", "worker.tasks.process_data", "worker.tasks.long_task"}

            def listed() -> set[str]:
                return {task["name"] for task in client.get("/tasks").json()["tasks"]}

            eventually(lambda: listed() == names)
            assert "Umbel is listening" not in client.get("/").text
    finally:
        if worker is not None:
            worker.stop()
        site.stop()
        server.stop()


def test_the_page_for_attaching_stays_when_there_are_tasks(tmp_path: Path, site: Site) -> None:
    with new_client(base_url=site.url, timeout=PATIENCE) as client:
        page = client.get("/ui/attach").text
    assert f'broker="{site.redis.url}"' in page.replace("&#34;", '"')
    assert "celery -A your_app worker -E" in page
