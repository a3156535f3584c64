"""Choosing the language and the time zone in the menu of the top bar."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.web.conftest import Site


@pytest.fixture
def tokyo(browser: Browser, site: Site) -> Iterator[Visitor]:
    """Somebody in Japan, whose browser asks for Japanese."""
    yield from visit(browser, site.url, locale="ja-JP", timezone_id="Asia/Tokyo")


def test_language_and_zone_are_chosen_by_keyboard_and_kept(tokyo: Visitor, site: Site) -> None:
    page = tokyo.page
    task = submit(site, "/tasks/add", x=1, y=2)
    tokyo.go(f"/ui/tasks/{task}")
    tokyo.state("SUCCESS")
    facts = page.locator("#facts time").first
    menu = page.locator("[popovertarget=reader]")

    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("#head .state")).to_have_text("成功")
    expect(facts).to_have_text(re.compile(r"^\d+年\d+月\d+日 \d\d:\d\d:\d\d\.\d{3}$"))
    expect(menu).to_contain_text("UTC+9")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reader select")).to_be_visible()
    at_home = facts.inner_text()
    page.locator("#reader select").select_option("UTC")
    expect(facts).not_to_have_text(at_home)
    expect(menu).to_contain_text("UTC")
    facts.hover()
    expect(facts).to_have_attribute("title", re.compile(r"UTC$"))

    page.get_by_role("button", name="English").click()
    page.wait_for_selector("html[lang=en]")
    page.wait_for_selector("html[data-stream=live]")
    expect(page).to_have_url(re.compile(task))
    expect(page.locator("#head .state")).to_have_text("Success")
    expect(facts).to_have_text(re.compile(r"^[A-Z][a-z]{2} \d+, \d{4}, \d\d:"))
    expect(menu).not_to_contain_text("+9")
    tokyo.go("/ui/workers")
    expect(page.locator("h1")).to_have_text("Workers")


def test_live_fragments_come_in_the_language_and_the_zone_of_the_page(
    tokyo: Visitor, site: Site
) -> None:
    page = tokyo.page
    page.add_init_script("localStorage.setItem('umbel_zone', 'Asia/Kolkata')")
    tokyo.go("/")
    ticks = page.locator("#ended .xs text")
    submit(site, "/tasks/add", x=3, y=4)
    expect(page.locator("#latest .state").first).to_have_text("成功")
    expect(page.locator("#latest time").first).to_have_text(re.compile(r"前$|^今$"))

    # Half an hour beside UTC: what stands at whole quarters there still does so here.
    moment = int(ticks.first.get_attribute("data-moment") or 0)
    minutes = (moment // 60 + 330) % 1440
    expect(ticks.first).to_have_text(f"{minutes // 60:02}:{minutes % 60:02}")


def test_without_scripts_the_language_is_a_plain_form_and_times_are_utc(
    browser: Browser, site: Site
) -> None:
    for visitor in visit(browser, site.url, java_script_enabled=False):
        page = visitor.page
        page.goto(f"{site.url}/ui/queues")
        page.locator("[popovertarget=reader]").click()
        expect(page.locator("#reader select")).to_be_hidden()
        page.get_by_role("button", name="日本語").click()

        expect(page).to_have_url(f"{site.url}/ui/queues")
        expect(page.locator("h1")).to_have_text("キュー")
