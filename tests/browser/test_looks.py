"""How pages look, pixel by pixel, in light and dark, at a desk and on a phone."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.conftest import ARGS, chromium, submit
from tests.browser.looks import ARGS as STEADY
from tests.browser.looks import NOW, WIDTHS, compare, looker, need_fonts, settle
from tests.http import web
from tests.support import RedisServer, eventually, start_worker
from tests.web.conftest import Site

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


@pytest.fixture(scope="module")
def steady(playwright: Playwright) -> Iterator[Browser]:
    """A browser that draws letters the same on every machine."""
    browser = playwright.chromium.launch(executable_path=chromium(), args=[*ARGS, *STEADY])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def desk(steady: Browser) -> Iterator[Page]:
    """A page on which pictures are compared."""
    page = steady.new_page()
    need_fonts(page)
    yield page
    page.close()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, list[str]]]:
    """A site on which a few tasks have ended, one after the other; their ids."""
    folder = tmp_path_factory.mktemp("looks")
    redis = RedisServer(folder / "redis").start()
    site = Site(redis, folder, env={"UMBEL_LABEL": "staging"}).start()
    worker = start_worker(redis.url, folder / "worker.log", name="w1")
    eventually(site.ready)
    eventually(lambda: web.get(site.url + "/catalog").text.count("worker.tasks.") >= 3)
    eventually(lambda: web.get(site.url + "/queues/celery").json().get("consumers"))
    ids = []
    for path, body in (
        ("/tasks/add", {"x": 20, "y": 22}),
        ("/tasks/process", {"data": [3, 1, 4, 1, 5, 9, 2, 6]}),
        ("/tasks/long", {"seconds": 0}),
    ):
        ids.append(submit(site, path, **body))
        address = f"{site.url}/tasks/{ids[-1]}"
        eventually(lambda address=address: web.get(address).json()["state"] == "SUCCESS")
    # One that fails: arguments that no form would let through, sent as an application sends them.
    ids.append(_send_a_failing_one(redis))
    eventually(lambda: web.get(f"{site.url}/tasks/{ids[-1]}").status_code == 200)
    eventually(lambda: web.get(f"{site.url}/tasks/{ids[-1]}").json()["state"] == "FAILURE")
    yield site, ids
    site.stop()
    worker.stop()
    redis.stop()


def _send_a_failing_one(redis: RedisServer) -> str:
    from celery import Celery

    with Celery(broker=redis.url, set_as_current=False) as app:
        app.conf.task_ignore_result = True
        return str(app.send_task("worker.tasks.add", args=["twenty", 22]).id)


def look(browser: Browser, desk: Page, address: str, name: str, *, whole: bool = False) -> None:
    """Compares a page with its pictures, in every case."""
    for width in WIDTHS:
        context = looker(browser, width)
        page = context.new_page()
        if whole:
            page.clock.set_fixed_time(NOW)
        page.goto(address, wait_until="load")
        expect(page.locator("main")).to_be_visible()
        settle(page)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            picture = page.screenshot(full_page=whole, animations="disabled")
            compare(desk, f"{name}-{width}-{scheme}", picture)
        context.close()


def test_every_component_looks_as_it_did(steady: Browser, desk: Page, site: Site) -> None:
    look(steady, desk, site.url + "/ui/patterns", "patterns", whole=True)


PAGES = {
    "overview": "/",
    "tasks": "/ui/tasks",
    "none": "/ui/tasks?q=name%3Anothing",
    "workers": "/ui/workers",
    "queues": "/ui/queues",
    "submit": "/ui/submit?name=worker.tasks.long_task",
    "missing": "/ui/nowhere",
}


@pytest.mark.parametrize("name", [*PAGES, "task"])
def test_a_page_looks_as_it_did(
    steady: Browser, desk: Page, quiet: tuple[Site, list[str]], name: str
) -> None:
    site, ids = quiet
    path = PAGES.get(name, f"/ui/tasks/{ids[1]}")
    look(steady, desk, site.url + path, name)
