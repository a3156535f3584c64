"""A recorder dies and comes back: the open page tells when nobody listened, and that it healed."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import visit
from tests.http import web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site
from tests.web.test_health import nobody_records


def test_a_blind_window_appears_and_heals_on_the_open_page(
    browser: Browser, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    site = Site(redis, tmp_path).start()
    try:
        eventually(site.ready)
        for visitor in visit(browser, site.url):
            page = visitor.page
            visitor.go("/ui/data-quality")
            expect(page.locator("#windows")).to_contain_text("None: somebody has listened")
            expect(page.locator("#replicas")).to_contain_text("Leads")

            with nobody_records(site):
                expect(page.locator("#hearing")).to_contain_text("unknown since")
                expect(page.locator("#troubles")).to_contain_text("The recorder is away.")

            expect(page.locator("#windows .state-SUCCESS")).to_have_text("Healed")
            expect(page.locator("#windows")).to_contain_text("No recorder was running.")
            expect(page.locator("#troubles [role=alert]")).to_have_count(0)
            expect(page.locator("#hearing")).not_to_contain_text("unknown since")
            answer = web.get(site.url + "/stats").json()
            assert answer["blind_windows"][0]["healed_at"]
    finally:
        site.stop()
        redis.stop()
