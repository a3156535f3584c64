"""The keyboard alone: triage from the first page to the new task, rows, the palette, the sheet."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.http import web
from tests.support import eventually
from tests.web.conftest import Site

MOUSELESS = """for (const kind of ["pointerdown", "mousedown", "touchstart"])
  addEventListener(kind, () => { throw new Error("the mouse was used"); }, true);"""
TASK = re.compile(r"/ui/tasks/[^/#]+$")


@pytest.fixture
def keyboard(visitor: Visitor) -> Visitor:
    """A visitor whose pages complain about any pointer."""
    visitor.page.add_init_script(MOUSELESS)
    return visitor


def focused(page: Page) -> str:
    """The id of the row that the focus is in."""
    return str(page.evaluate("document.activeElement.closest('tr, li')?.id ?? ''"))


def options_of(page: Page) -> Locator:
    """What the palette offers."""
    return page.get_by_role("dialog", name="Find or do anything").get_by_role("option")


def wait_for(site: Site, task: str, state: str) -> None:
    eventually(lambda: web.get(f"{site.url}/tasks/{task}").json()["state"] == state)


def test_triage_needs_no_mouse(keyboard: Visitor, site: Site) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    failed = submit(site, "/tasks/add", x=1e308, y=1e308)
    wait_for(site, failed, "FAILURE")
    keyboard.go("/")
    keys.press("g")
    keys.press("t")
    page.wait_for_url("**/ui/tasks")
    keys.press("/")
    expect(page.get_by_role("combobox", name="Search tasks")).to_be_focused()
    keys.type("state:failure name:worker.tasks.add ")
    keys.press("Enter")
    page.wait_for_url("**/ui/tasks?q=*")
    page.wait_for_selector("html[data-stream=live]")
    keys.press("j")
    assert focused(page) == f"task-{failed}"
    keys.press("Enter")
    page.wait_for_url(TASK)
    expect(page.get_by_role("main")).to_contain_text("ValueError")
    keys.press("r")
    page.wait_for_url(re.compile(f"/ui/tasks/(?!{failed})[^?]+$"))
    expect(page.locator(f"#related a[href='/ui/tasks/{failed}']").first).to_be_visible()
    keyboard.state("FAILURE")
    again = keyboard.task_page()
    keys.press("e")
    expect(page.get_by_label("Arguments", exact=True)).to_be_focused()
    keys.press("Control+a")
    keys.type("[2, 3]")
    keys.press("Tab")
    keys.press("Control+a")
    keys.type("{}")
    keys.press("Tab")
    keys.press("Enter")
    page.wait_for_url(re.compile(f"/ui/tasks/(?!{again})[^?]+$"))
    keyboard.state("SUCCESS")
    keys.press("Escape")
    page.wait_for_url("**/ui/tasks?q=*")


def test_rows_are_gone_through_picked_and_kept_while_they_change(
    keyboard: Visitor, site: Site
) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    older = submit(site, "/tasks/add", x=1, y=1)
    wait_for(site, older, "SUCCESS")
    task = submit(site, "/tasks/long", seconds=3)
    wait_for(site, task, "PROGRESS")
    keyboard.go("/ui/tasks")
    keys.press("j")
    assert focused(page) == f"task-{task}"
    keys.press("j")
    assert focused(page) == f"task-{older}"
    keys.press("k")
    keys.press("x")
    expect(page.locator("[data-selected]")).to_have_text("1 selected")
    page.wait_for_selector(f"#task-{task} .state-SUCCESS")
    assert focused(page) == f"task-{task}", "the focus stays in a row that changes"
    expect(page.locator(f"#task-{task} input")).to_be_checked()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    keys.press("c")
    expect(page.locator(".toast")).to_contain_text("The id is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == task
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    keys.press("r")
    assert asked
    assert task in asked[0]
    expect(page).to_have_url(site.url + "/ui/tasks")
    page.once("dialog", lambda dialog: dialog.accept())
    keys.press("r")
    page.wait_for_url(TASK)
    expect(page.locator(f"#related a[href='/ui/tasks/{task}']").first).to_be_visible()


def test_the_focus_stays_in_a_short_list_that_is_sent_again(keyboard: Visitor, site: Site) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    task = submit(site, "/tasks/add", x=5, y=1)
    wait_for(site, task, "SUCCESS")
    keyboard.go("/")
    row = f"latest-{task}"
    page.wait_for_selector(f"#{row}")
    for _ in range(60):
        keys.press("j")
        if focused(page) == row:
            break
    assert focused(page) == row
    newer = submit(site, "/tasks/add", x=6, y=1)
    page.wait_for_selector(f"#latest-{newer}")
    assert focused(page) == row


def test_keys_are_text_while_somebody_types(keyboard: Visitor, site: Site) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    task = submit(site, "/tasks/add", x=1, y=2)
    wait_for(site, task, "SUCCESS")
    keyboard.go(f"/ui/tasks/{task}")
    keys.press("e")
    keys.press("Control+a")
    keys.type("?gtjkxrsc/np.")
    expect(page.get_by_label("Arguments", exact=True)).to_have_value("?gtjkxrsc/np.")
    keyboard.go("/ui/tasks")
    keys.press("/")
    keys.type("?gtjkxrsc/np.")
    expect(page.get_by_role("combobox", name="Search tasks")).to_have_value("?gtjkxrsc/np.")
    page.get_by_label("Order").focus()
    keys.press("r")
    page.evaluate(
        """document.querySelector("[data-search] input").dispatchEvent(
        new KeyboardEvent("keydown", {key: "?", isComposing: true, bubbles: true}))"""
    )
    for chord in ("Control+r", "Alt+j", "Meta+j"):
        if chord != "Control+r":
            keys.press(chord)
    expect(page).to_have_url(site.url + "/ui/tasks")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert focused(page) == ""


def test_the_sheet_tells_the_keys_and_switches_them_off(keyboard: Visitor, site: Site) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    keyboard.go("/ui/tasks")
    keys.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Run it again")
    keys.press("j")
    assert focused(page) == "", "behind a dialog nothing moves"
    sheet.get_by_role("checkbox").focus()
    keys.press("Space")
    keys.press("Escape")
    expect(sheet).to_be_hidden()
    keys.press("j")
    keys.press("g")
    keys.press("w")
    keyboard.go("/ui/tasks")
    keys.press("?")
    expect(sheet).to_have_count(0)
    keys.press("Control+k")
    expect(page.get_by_role("dialog", name="Find or do anything")).to_be_visible()
    keys.type("keyb")
    expect(options_of(page).first).to_contain_text("Keyboard shortcuts")
    keys.press("Enter")
    sheet.get_by_role("checkbox").focus()
    keys.press("Space")
    keys.press("Escape")
    keys.press("g")
    keys.press("w")
    page.wait_for_url("**/ui/workers")


def test_the_palette_finds_pages_tasks_queues_workers_and_actions(
    keyboard: Visitor, site: Site
) -> None:
    page, keys = keyboard.page, keyboard.page.keyboard
    task = submit(site, "/tasks/add", x=1, y=2)
    wait_for(site, task, "SUCCESS")
    keyboard.go("/")
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "/ui/palette" in sent.url else None)
    options = options_of(page)
    box = page.get_by_role("combobox", name="an action")

    keys.press("Control+k")
    expect(box).to_be_focused()
    expect(options.filter(has_text="Data quality")).to_be_visible()
    keys.type("w1@")
    expect(options.first).to_contain_text("w1@test")
    expect(box).to_have_attribute("aria-activedescendant", "palette-option-0")
    keys.press("Enter")
    page.wait_for_url("**/ui/workers/w1@test")
    keys.press("Control+k")
    expect(options.first).to_contain_text("w1@test")
    expect(options.first).to_contain_text("Lately")
    keys.type("celery")
    expect(options.first).to_contain_text("Queue")
    keys.press("Control+a")
    keys.type(task[:8])
    expect(options.first).to_contain_text(task[:8])
    keys.press("Enter")
    page.wait_for_url(f"**/ui/tasks/{task}")
    keys.press("Control+k")
    keys.type("run ag")
    expect(options.first).to_have_text(re.compile("Run again.*Action"))
    keys.press("Enter")
    page.wait_for_url(re.compile(f"/ui/tasks/(?!{task})[^?]+$"))
    keyboard.state("SUCCESS")
    keys.press("Control+k")
    keys.type("pause")
    expect(options.first).to_have_text(re.compile("Pause live updates.*Action"))
    keys.press("Enter")
    page.wait_for_selector("html[data-stream=paused]")
    keys.press("Control+k")
    keys.type("add")
    expect(options.filter(has_text="Submit")).to_contain_text("worker.tasks.add")
    keys.press("ArrowDown")
    with page.context.expect_page() as opened:
        keys.press("Control+Enter")
    opened.value.wait_for_url(re.compile("/ui/(submit|tasks)"))
    assert len(asked) < 30, "not a question for every key"


def test_the_palette_is_a_page_without_scripts(browser: Browser, site: Site) -> None:
    for visitor in visit(browser, site.url, java_script_enabled=False):
        page = visitor.page
        page.goto(site.url + "/")
        page.get_by_role("link", name="Find or do anything").click()
        page.get_by_role("searchbox").fill("data")
        page.get_by_role("button", name="Find", exact=True).click()
        page.locator(".found a").first.click()
        expect(page).to_have_url(site.url + "/ui/data-quality")
        page.goto(site.url + "/ui/keys")
        expect(page.get_by_role("main")).to_contain_text("Run it again")


def test_the_palette_opens_by_a_button_on_a_phone(browser: Browser, site: Site) -> None:
    size = {"width": 375, "height": 700}
    for visitor in visit(browser, site.url, viewport=size, has_touch=True):
        page = visitor.page
        visitor.go("/")
        page.get_by_role("link", name="Find or do anything").tap()
        page.get_by_role("combobox", name="an action").fill("queues")
        expect(options_of(page).first).to_contain_text("Queues")
        options_of(page).first.tap()
        page.wait_for_url("**/ui/queues")
