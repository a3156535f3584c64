"""One task's page as a person uses it: its time grows, its values are copied, its error is read."""

import json
import re

from celery import Celery
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.http import web
from tests.support import eventually
from tests.web.conftest import Site
from tests.web.test_snippets import words_of

BIG = 12345678901234567890
"""Beyond what a number of JavaScript holds."""


def known(site: Site, task: str, state: str) -> None:
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json().get("state") == state)


def copies(page: Page, text: str) -> None:
    """Waits until that text is what would be pasted."""
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == text)


def width_of(page: Page, bar: str) -> float:
    box = page.locator(bar).bounding_box()
    assert box is not None
    return box["width"]


def test_the_time_of_a_task_grows_and_tells_its_exact_moments(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    task = submit(site, "/tasks/long", seconds=5)
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["started_at"])
    visitor.go(f"/ui/tasks/{task}")
    expect(page.locator(".stretch.run.open")).to_be_visible()
    waits = width_of(page, ".stretch:not(.open) >> nth=0")
    eventually(lambda: width_of(page, ".stretch:not(.open) >> nth=0") < waits)
    expect(page.locator("[data-elapsed] time[data-lasting]")).to_contain_text(re.compile(r"\d s"))
    visitor.state("SUCCESS")

    page.locator(".stretch.run").focus()
    expect(page.locator("[data-readout]")).to_contain_text(
        re.compile(r"Running on .*: (4\.9|5\.)\d* s")
    )
    expect(page.locator("#steps tbody tr")).not_to_have_count(0)


def test_values_are_copied_part_by_part_and_to_the_last_digit(browser: Browser, site: Site) -> None:
    numbers = [BIG, *range(1_000_000, 1_000_020)]
    task = submit(site, "/tasks", name="worker.tasks.process_data", kwargs={"data": numbers})
    known(site, task, "SUCCESS")
    for visitor in visit(browser, site.url, permissions=["clipboard-read", "clipboard-write"]):
        page = visitor.page
        visitor.go(f"/ui/tasks/{task}")
        rows = page.locator("[data-tree=kwargs] li[data-at]")
        rows.first.focus()
        for key in ("ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        expect(rows.filter(has_text=str(BIG)).last).to_be_focused()
        page.get_by_role("button", name="Copy value").click()
        copies(page, str(BIG))
        page.get_by_role("button", name="Copy path").click()
        copies(page, 'kwargs["data"][0]')

        page.locator("#raw > summary").click()
        expect(page.locator("#raw-json")).to_contain_text(str(BIG))
        page.locator("#snippets > summary").click()
        said = words_of(page.locator("#snippet-curl").inner_text())
        again = web.post(said[1], content=said[-1].encode())

        assert again.status_code == 202
        assert json.loads(said[-1])["kwargs"] == {"data": numbers}


def test_an_error_is_read_from_the_line_that_raised_it(visitor: Visitor, site: Site) -> None:
    app = Celery(broker=site.redis.url)
    task = app.send_task("worker.tasks.add", args=["a", 1]).id
    app.close()
    known(site, task, "FAILURE")
    page = visitor.page
    visitor.go(f"/ui/tasks/{task}")

    expect(page.locator("#error .kind").first).to_contain_text("TypeError")
    expect(page.locator("#error .place .file").first).to_contain_text("worker")
    folded = page.locator("#error details.library").first
    expect(folded.locator("summary")).to_contain_text("library frame")
    expect(folded.locator(".frame").first).to_be_hidden()
    page.get_by_text("The traceback as it came").click()
    expect(page.locator("#error-raw")).to_contain_text("Traceback (most recent call last)")


def test_a_task_leads_back_to_the_search_that_it_was_opened_from(
    visitor: Visitor, site: Site
) -> None:
    task = submit(site, "/tasks/add", x=2, y=3)
    known(site, task, "SUCCESS")
    page = visitor.page
    search = "/ui/tasks?q=name:worker.tasks.add"
    visitor.go(search)
    page.locator(f"#task-{task} a").first.click()
    visitor.task_page()
    back = page.locator("[data-back]")
    expect(back).to_have_attribute("href", search)
    page.keyboard.press("Escape")
    page.wait_for_url(site.url + search)


def test_a_task_is_read_without_scripts_on_a_phone(browser: Browser, site: Site) -> None:
    task = submit(site, "/tasks/process", data=[1.5] * 50)
    known(site, task, "SUCCESS")
    small = {"width": 375, "height": 800}
    for visitor in visit(browser, site.url, java_script_enabled=False, viewport=small):
        page = visitor.page
        page.goto(f"{site.url}/ui/tasks/{task}")
        expect(page.locator(".stretch.run")).to_be_visible()
        expect(page.locator("#steps tbody tr").first).to_be_visible()
        page.locator("#raw > summary").click()
        page.get_by_role("link", name="The body of GET").click()
        expect(page.locator("#raw-json")).to_contain_text(task)
