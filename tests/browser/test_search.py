"""The search box by keyboard: typing, suggestions, mistakes, and filters that are taken away."""

import re
import time

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.support import eventually
from tests.web.conftest import Site


def wait_for(page: Page, site: Site, *tasks: str) -> None:
    """Until the list of tasks has them."""
    eventually(lambda: all(one in page.request.get(site.url + "/ui/tasks").text() for one in tasks))


def test_a_search_is_written_with_suggestions_and_by_keyboard_alone(
    visitor: Visitor, site: Site
) -> None:
    kept = submit(site, "/tasks/process", data=[1, 2, 3])
    other = submit(site, "/tasks/add", x=2, y=3)
    page = visitor.page
    wait_for(page, site, kept, other)
    asked: list[float] = []
    page.on("request", lambda sent: asked.append(time.time()) if "/suggest" in sent.url else None)
    visitor.go("/ui/tasks")
    box = page.get_by_role("combobox", name="Search tasks")
    options = page.get_by_role("listbox").get_by_role("option")

    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type("/na")
    expect(box).to_have_value("/na")
    box.fill("")
    page.keyboard.type("na")
    expect(options.first).to_contain_text("name:")
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "search-option-0")
    page.keyboard.press("Enter")
    expect(box).to_have_value("name:")
    page.keyboard.type("process")
    expect(options).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(box).to_have_value("name:worker.tasks.process_data ")
    expect(box).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")

    page.wait_for_url("**/ui/tasks?q=name%3Aworker.tasks.process_data*")
    expect(page.locator(f"#task-{kept}")).to_be_visible()
    expect(page.locator(f"#task-{other}")).to_have_count(0)
    assert 2 <= len(asked) <= 12, "not a question for every key"


def test_suggestions_are_closed_by_escape_and_chosen_by_pointer(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/ui/tasks?q=-name:x")
    box = page.get_by_role("combobox", name="Search tasks")
    box.focus()
    page.keyboard.press("End")
    page.keyboard.type(" state:fa")
    expect(page.get_by_role("listbox").get_by_role("option")).to_have_text("failure")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(box).to_have_value("-name:x state:fa")

    page.keyboard.press("ArrowDown")
    page.get_by_role("option", name="failure").click()
    expect(box).to_have_value("-name:x state:failure ")
    expect(box).to_be_focused()


def test_a_filter_is_taken_away_by_its_chip(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    task = submit(site, "/tasks/add", x=7, y=3)
    wait_for(page, site, task)
    visitor.go("/ui/tasks?q=name:no.such*+-noise+since:1h")
    expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    page.get_by_role("link", name="Remove name:no.such*").click()

    page.wait_for_url("**/ui/tasks?q=since:1h+-noise")
    expect(page.get_by_role("combobox", name="Search tasks")).to_have_value("since:1h -noise")
    expect(page.locator(f"#task-{task}")).to_be_visible()
    page.get_by_role("link", name="1 hour").click()
    page.wait_for_url("**/ui/tasks?q=-noise")


def test_a_mistake_is_pointed_at_and_mended_by_a_click(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/ui/tasks")
    box = page.get_by_role("combobox", name="Search tasks")
    box.fill("name:worker.* state:sucess")
    page.keyboard.press("Enter")

    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_accessible_description(re.compile("'sucess' is not one of PENDING"))
    expect(box).to_be_focused()
    expect(page.locator("mark")).to_have_text("sucess")
    visitor.complaints.clear()  # Chromium says of every 422 that it is one
    page.get_by_role("link", name="Search with success").click()
    page.wait_for_url("**/ui/tasks?q=name:worker.*+state:success")
    expect(box).to_have_value("state:success name:worker.*")


def test_the_search_is_a_plain_form_without_scripts(browser: Browser, site: Site) -> None:
    for visitor in visit(browser, site.url, java_script_enabled=False):
        page = visitor.page
        page.goto(site.url + "/ui/tasks")
        page.get_by_role("searchbox", name="Search tasks").fill('state:LOST,failure "no such"')
        page.get_by_label("Order").select_option("Longest run first")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("searchbox")).to_have_value('state:lost,failure "no such"')
        expect(page.get_by_label("Order")).to_have_value("-runtime")
        page.get_by_role("link", name='Remove "no such"').click()
        page.wait_for_url("**/ui/tasks?q=state:lost,failure&sort=-runtime")
