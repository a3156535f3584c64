"""How a live page behaves: it says how live it is, waits when asked to, costs nothing unseen."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect
from prometheus_client.parser import text_string_to_metric_families

from tests.browser.conftest import Visitor, submit, visit
from tests.http import web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site

PROMISED = 5_000
"""Milliseconds within which a page says that something is away; doubled where machines are slow."""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
PATHS = ("/", "/ui/tasks", "/ui/workers", "/ui/queues", "/ui/data-quality")


def streams(site: Site) -> int:
    """Streams that are open on the server."""
    found = text_string_to_metric_families(web.get(site.url + "/metrics").text)
    return int(next(one for one in found if one.name == "umbel_streams_open").samples[0].value)


def rows_of(page: Page) -> list[str]:
    return page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.id)")


def running(site: Site, seconds: float) -> str:
    """A task that is at work."""
    task = submit(site, "/tasks/long", seconds=seconds)
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["started_at"])
    return task


def test_a_paused_page_counts_what_waits_and_catches_up_in_place(
    visitor: Visitor, site: Site
) -> None:
    task = running(site, 4)
    page = visitor.page
    page.set_viewport_size({"width": 1000, "height": 500})
    visitor.go("/ui/tasks")
    row = page.locator(f"#task-{task}")
    page.click("[data-pause]")
    expect(page.locator("[data-live-word]")).to_have_text("Paused")
    expect(page.locator("[data-waiting]")).to_contain_text("wait")
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["state"] == "SUCCESS")
    assert row.locator(".state-SUCCESS").count() == 0
    rows, place = rows_of(page), row.bounding_box()
    page.click("[data-pause]")

    expect(row.locator(".state-SUCCESS")).to_be_visible()
    expect(page.locator("[data-live-word]")).to_have_text("Live")
    expect(page.locator("[data-waiting]")).to_be_hidden()
    assert rows_of(page) == rows
    assert row.bounding_box() == place, "and nothing has jumped"


def test_a_hidden_page_has_no_stream_and_catches_up_when_it_is_seen(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.page
    visitor.go("/")
    eventually(lambda: streams(site) == 1)
    page.evaluate(HIDE, True)
    eventually(lambda: streams(site) == 0)
    task = submit(site, "/tasks/add", x=20, y=22)
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["state"] == "SUCCESS")
    assert page.locator(f"#latest-{task}").count() == 0
    page.evaluate(HIDE, False)

    expect(page.locator(f"#latest-{task}")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-stream", "live")
    assert streams(site) == 1
    page.goto("about:blank")
    eventually(lambda: streams(site) == 0)


def test_a_rate_is_chosen_remembered_and_kept_to(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visitor.go("/ui/tasks")
    page.click("[data-live-menu]")
    page.get_by_label("every 10 seconds").check()
    page.keyboard.press("Escape")
    expect(page.locator("#live-choices")).to_be_hidden()
    visitor.go("/ui/workers")

    eventually(lambda: [url for url in asked if "/workers?every=10" in url])
    expect(page.locator("[data-rate][value='10']")).to_be_checked(checked=True)
    page.evaluate("localStorage.clear()")


def test_what_a_reader_has_opened_and_focused_stays_when_every_part_is_sent_again(
    visitor: Visitor, site: Site
) -> None:
    task = submit(site, "/tasks/process", data=[1.5] * 500)
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["state"] == "SUCCESS")
    page = visitor.page
    page.set_viewport_size({"width": 1000, "height": 400})
    for path in (*PATHS, f"/ui/tasks/{task}", "/ui/workers/w1@test", "/ui/queues/celery"):
        visitor.go(path)
        page.evaluate("""() => {
          for (const fold of document.querySelectorAll("main details")) fold.open = true;
          const link = [...document.querySelectorAll("main a, main summary")].at(-1);
          if (link) link.focus({preventScroll: true});
          scrollTo(0, 120);
          const open = document.querySelectorAll("details[open]").length;
          window.kept = [document.activeElement, scrollY, open];
        }""")
        page.evaluate(HIDE, True)
        page.wait_for_selector("html[data-stream=waiting]")
        page.evaluate(HIDE, False)
        page.wait_for_selector("html[data-stream=live]")

        same = """() => window.kept[0] === document.activeElement && window.kept[1] === scrollY
          && window.kept[2] === document.querySelectorAll("details[open]").length"""
        assert page.evaluate(same), path


def test_a_part_that_cant_be_put_in_place_keeps_no_other_from_it(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.page
    visitor.go("/")
    page.evaluate("""() => {
      const swap = htmx.swap.bind(htmx);
      htmx.swap = async (wanted) => {
        if (wanted.text.includes('hx-target="#counts"')) throw new Error("broken for a test");
        return swap(wanted);
      };
      window.opened = 0;
      const Stream = EventSource;
      window.EventSource = class extends Stream {
        constructor(url) { super(url); window.opened += 1; }
      };
    }""")
    task = submit(site, "/tasks/add", x=1, y=2)

    expect(page.locator(f"#latest-{task}")).to_be_visible()
    expect(page.locator("[data-broken]")).to_be_visible()
    again = submit(site, "/tasks/add", x=3, y=4)
    expect(page.locator(f"#latest-{again}")).to_be_visible()
    assert page.evaluate("window.opened") == 0, "and the stream is still the first"
    assert [said for said in visitor.complaints if "counts" not in said] == []
    assert len(visitor.complaints) == 1, "and it is not tried again and again"
    visitor.complaints.clear()


def test_times_tick_and_tell_their_moment(visitor: Visitor, site: Site) -> None:
    task = submit(site, "/tasks/add", x=1, y=2)
    page = visitor.page
    eventually(lambda: task in page.request.get(site.url + "/ui/tasks").text())
    visitor.go("/ui/tasks")
    told = page.locator(f"#task-{task} time[data-ago]")
    before = told.text_content() or ""

    expect(told).not_to_have_text(before)
    told.hover()
    expect(told).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site that the test may break."""
    redis = RedisServer(tmp_path / "redis", durable=True).start()
    site = Site(redis, tmp_path).start()
    eventually(site.ready)
    yield site
    site.stop()
    redis.stop()


def recorder_of(site: Site) -> psutil.Process:
    assert site.process is not None
    found = psutil.Process(site.process.pid).children(recursive=True)
    return next(one for one in found if "record" in one.cmdline())


def test_a_frozen_server_and_a_frozen_recorder_are_said_in_time_and_unsaid(
    browser: Browser, own: Site
) -> None:
    for visitor in visit(browser, own.url):
        page = visitor.page
        visitor.go("/")
        figure = page.locator("#counts .figure").first
        offline, troubles = page.locator("[data-offline]"), page.locator("#troubles [role=alert]")
        before = figure.text_content()

        assert own.process is not None
        os.kill(own.process.pid, signal.SIGSTOP)
        try:
            expect(offline).to_be_visible(timeout=2 * PROMISED)
            expect(offline.locator("time")).to_contain_text("ago")
            expect(page.locator("html")).to_have_attribute("data-stale", "")
            assert figure.text_content() == before, "and never 0"
            assert figure.evaluate("node => getComputedStyle(node).opacity") != "1"
        finally:
            os.kill(own.process.pid, signal.SIGCONT)
        expect(offline).to_be_hidden()
        expect(page.locator("html")).not_to_have_attribute("data-stale", "")

        recorder_of(own).suspend()  # it is ended for that, and another is started
        expect(troubles.first).to_contain_text("recorder", timeout=2 * PROMISED)
        expect(page.locator("html")).to_have_attribute("data-stale", "")
        expect(troubles).to_have_count(0)
        expect(page.locator("html")).not_to_have_attribute("data-stale", "")


def test_a_page_that_is_slow_by_choice_hears_at_once_what_is_away(
    browser: Browser, own: Site
) -> None:
    for visitor in visit(browser, own.url):
        page = visitor.page
        visitor.go("/ui/queues")
        page.evaluate("localStorage.setItem('umbel:rate', '10')")
        visitor.go("/ui/queues")
        page.click("[data-pause]")
        own.redis.stop()

        banner = page.locator("#troubles [role=alert]").first
        expect(banner).to_contain_text("Redis does not answer", timeout=2 * PROMISED)
        own.redis.start()
        expect(page.locator("#troubles [role=alert]")).to_have_count(0)


def test_no_rate_but_those_that_are_offered_is_taken(site: Site) -> None:
    answer = httpx.get(site.url + "/ui/live/workers?every=0.01", trust_env=False)

    assert answer.status_code == 422
    assert "every" in answer.text
