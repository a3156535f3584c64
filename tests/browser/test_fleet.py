"""Workers and queues in a browser: one is killed, a queue is forgotten, and both are told of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery import Celery
from playwright.sync_api import Browser, expect

from tests.browser.conftest import submit, visit
from tests.http import web
from tests.support import Process, RedisServer, eventually, start_worker
from tests.web.conftest import Site


@dataclass
class Fleet:
    """A site with a worker that the test may kill."""

    site: Site
    worker: Process


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    redis = RedisServer(tmp_path / "redis").start()
    worker = start_worker(redis.url, tmp_path / "worker.log", name="w7", wait=False)
    site = Site(redis, tmp_path).start()
    eventually(site.ready)
    eventually(lambda: "worker.tasks.long_task" in web.get(site.url + "/catalog").text)
    yield Fleet(site, worker)
    site.stop()
    worker.stop()
    redis.stop()


def test_a_killed_worker_is_lost_with_its_task_and_a_queue_without_readers_is_told_of(
    browser: Browser, fleet: Fleet
) -> None:
    site = fleet.site
    task = submit(site, "/tasks/long", seconds=300)
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["started_at"])
    for visitor in visit(browser, site.url):
        page = visitor.page
        visitor.go("/ui/workers")
        row = page.locator("tr", has_text="w7@")
        expect(row.locator(".runs")).to_contain_text("long_task")
        lasting = row.locator("time[data-lasting]").last
        before = lasting.text_content() or ""
        expect(lasting).not_to_have_text(before)
        expect(row.locator(".meter")).to_be_visible()

        fleet.worker.kill_group()
        expect(row.locator(".state-LOST")).to_be_visible()
        expect(row).to_contain_text("1 task that it had is lost")
        expect(row).to_contain_text("unknown since")
        expect(page.locator("#fleet .state-LOST .figure")).to_have_text("1")
        row.get_by_role("link", name="1 task that it had is lost").click()
        expect(page.locator(f"#task-{task} .state-LOST")).to_be_visible()

        app = Celery(broker=site.redis.url)
        for number in range(3):
            app.send_task("worker.tasks.add", args=[number, 1], queue="celery")
        app.close()
        visitor.go("/ui/queues/celery")
        expect(page.locator("#warnings")).to_contain_text("Nobody reads this queue.")
        expect(page.locator("#warnings")).to_contain_text("celery -A your_app worker -Q celery")
        expect(page.locator("[data-cell='12']")).to_have_attribute("data-all", "3")
        page.get_by_role("link", name="15m").click()
        page.wait_for_url("**/ui/queues/celery?range=15m")
        expect(page.locator("#plot-depth")).to_be_visible()
        visitor.go("/ui/queues")
        expect(page.locator("#queues")).to_contain_text("no worker")
