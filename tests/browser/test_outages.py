"""What a page says while something it needs is away, and after."""

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import visit
from tests.support import RedisServer, eventually
from tests.web.conftest import Site


def test_redis_away_is_said_and_unsaid(browser: Browser, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", durable=True).start()
    site = Site(redis, tmp_path).start()
    try:
        eventually(site.ready)
        for visitor in visit(browser, site.url):
            banner = visitor.page.locator("#troubles [role=alert]")
            icon = visitor.page.locator("link[rel=icon]")
            visitor.go("/")
            expect(banner).to_have_count(0)
            expect(icon).to_have_attribute("href", re.compile("favicon.svg$"))
            redis.stop()
            expect(banner.first).to_contain_text("Redis does not answer")
            expect(banner.first.locator("time")).to_contain_text("ago")
            expect(icon).to_have_attribute("href", re.compile("favicon-trouble.svg$"))
            expect(visitor.page).to_have_title(re.compile(r"^\(\d+\) Overview · Umbel$"))
            redis.start()
            expect(banner).to_have_count(0)
            expect(icon).to_have_attribute("href", re.compile("favicon.svg$"))
            expect(visitor.page).to_have_title("Overview · Umbel")
    finally:
        site.stop()
        redis.stop()


def test_the_server_away_is_said_and_unsaid(browser: Browser, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    site = Site(redis, tmp_path).start()
    try:
        eventually(site.ready)
        for visitor in visit(browser, site.url):
            banner = visitor.page.locator("[data-offline]")
            icon = visitor.page.locator("link[rel=icon]")
            visitor.go("/ui/tasks")
            expect(banner).to_be_hidden()
            site.stop()
            expect(banner).to_be_visible()
            expect(icon).to_have_attribute("href", re.compile("favicon-away.svg$"))
            site.start()
            expect(banner).to_be_hidden()
            expect(icon).to_have_attribute("href", re.compile("favicon.svg$"))
            visitor.complaints.clear()  # refused connections are Chromium's to report
    finally:
        site.stop()
        redis.stop()
