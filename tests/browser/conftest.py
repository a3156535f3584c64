"""A real Chromium against a whole site: Redis, `umbel serve`, its recorder and a worker."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.http import web
from tests.support import RedisServer, eventually, start_worker
from tests.web.conftest import Site

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SLOW = 60_000
"""Milliseconds until something that should appear counts as missing; machines differ."""


def chromium() -> str:
    """The browser's path. Missing, it fails the run: pages that nobody opened are not tested."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(
            "There is no Chromium on this machine, which the tests of pages need: "
            "`make test` installs one, or install the package `chromium`.",
            pytrace=False,
        )
    return found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Ended with this package: while it runs, no asynchronous test of another one could."""
    expect.set_options(timeout=SLOW)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium(), args=ARGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site with one worker for all journeys that break nothing and crowd out nobody."""
    yield from run_site(tmp_path_factory.mktemp("site"))


def run_site(folder: Path) -> Iterator[Site]:
    """A site with one worker."""
    redis = RedisServer(folder / "redis").start()
    worker = start_worker(redis.url, folder / "worker.log", name="w1", wait=False)
    site = Site(redis, folder).start()
    eventually(site.ready)
    eventually(lambda: web.get(site.url + "/catalog").text.count("worker.tasks.") >= 3)
    yield site
    site.stop()
    worker.stop()
    redis.stop()


@dataclass
class Visitor:
    """A person at a browser; `complaints` are what its console had to say."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Opens a page and waits until it is live, where it says that it is."""
        self.page.goto(self.url + path, wait_until="domcontentloaded")
        if self.page.locator("[data-live]").count():
            self.page.wait_for_selector("html[data-stream=live]")

    def task_page(self) -> str:
        """Waits for the page of a task; the task's id."""
        self.page.wait_for_url("**/ui/tasks/*-*")
        return self.page.url.rsplit("/", 1)[-1]

    def state(self, state: str) -> None:
        """Waits until the task whose page this is has come to a state."""
        self.page.wait_for_selector(f"#head .state-{state}")


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    yield from visit(browser, site.url)


def visit(browser: Browser, url: str, **options: object) -> Iterator[Visitor]:
    """A visitor in a browser context of its own; fails on anything that the console says."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    page = context.new_page()
    visitor = Visitor(page, url)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: visitor.complaints.append(said.text) if said.type == "error" else None,
    )
    yield visitor
    context.close()

    assert visitor.complaints == []


def submit(site: Site, path: str, **body: object) -> str:
    """Sends a task over REST; its id."""
    answer = web.post(site.url + path, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])
