"""The list of tasks in a browser: columns, views, a selection, a task beside it, and files."""

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.support import eventually
from tests.web.conftest import Site


def listed(visitor: Visitor) -> list[str]:
    """The ids of the tasks of the list, in their order."""
    boxes = visitor.page.locator("[data-pick]")
    found: list[str] = boxes.evaluate_all("boxes => boxes.map(box => box.value)")
    return found


def some(visitor: Visitor, site: Site, count: int = 4) -> list[str]:
    """Tasks that have ended."""
    ids = [submit(site, "/tasks/add", x=number, y=1) for number in range(count)]
    page = visitor.page

    def ended() -> bool:
        known = page.request.get(f"{site.url}/tasks?state=SUCCESS&limit=50").json()["tasks"]
        return set(ids) <= {task["id"] for task in known}

    eventually(ended)
    return ids


def test_columns_are_chosen_and_saved_as_a_view_that_opens_first(
    visitor: Visitor, site: Site
) -> None:
    some(visitor, site, 1)
    page = visitor.page
    visitor.go("/ui/tasks?q=state:success")
    dense = page.get_by_role("button", name="Rows close together")
    dense.click()
    expect(dense).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-density", "compact")
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Result", exact=True).check()
    page.get_by_label("Worker", exact=True).uncheck()
    page.get_by_role("button", name="Show these columns").click()
    page.wait_for_url("**columns=*result*")
    expect(page.get_by_role("columnheader", name="Result")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Queue", exact=True)).to_be_visible()

    page.get_by_role("button", name="Views").click()
    page.get_by_label("Save what is shown as").fill("Results")
    page.get_by_role("button", name="Save for everybody").click()
    button = page.get_by_role("button", name="Results", exact=True)
    expect(button).to_be_visible()
    button.click()
    page.get_by_role("button", name="Open the list with Results in this browser").click()
    visitor.go("/ui/tasks")
    expect(page).to_have_url(re.compile("q=state:success&columns="))
    expect(page.get_by_role("columnheader", name="Result")).to_be_visible()

    page.get_by_role("searchbox").or_(page.get_by_role("combobox", name="Search")).first.fill("")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/tasks?q=&columns=*")
    button = page.get_by_role("button", name="Views", exact=True)
    button.click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove Results").click()
    page.wait_for_url("**/ui/tasks?q=")
    page.keyboard.press("Escape")


def test_rows_are_selected_one_by_one_in_a_range_and_all(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    some(visitor, site)
    page = visitor.page
    visitor.go("/ui/tasks?q=state:success")
    ids = listed(visitor)
    said, boxes = page.locator("[data-selected]"), page.locator("[data-pick]")
    top = page.locator("tbody tr").first.bounding_box()
    boxes.nth(0).check()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(said).to_have_text("3 selected")
    expect(page.locator(".filters")).to_be_hidden()
    assert page.locator("tbody tr").first.bounding_box() == top, "rows do not move"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy ids").click()
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == "\n".join(ids[:3]))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export JSON lines").click()
    download.value.save_as(tmp_path / "some.jsonl")
    lines = (tmp_path / "some.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[:3]

    page.get_by_label("Select all shown").check()
    shown = boxes.count()
    expect(said).to_have_text(f"{shown} selected")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url("**/ui/selected?*")
    expect(page.get_by_role("heading", name=re.compile(r"Run \d+ tasks again\?"))).to_be_visible()
    page.go_back()
    page.wait_for_selector("html[data-stream=live]")
    page.get_by_label("Select all shown").check()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_label("Select all shown")).to_be_focused()
    expect(page.locator(".filters")).to_be_visible()


def test_all_that_match_are_exported_where_more_match_than_are_shown(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    page = visitor.page
    batch = {"tasks": [{"name": "worker.tasks.add", "args": [n, 7]} for n in range(60)]}
    sent = page.request.post(site.url + "/tasks/batch", data=batch).json()["task_ids"]
    some(visitor, site, 1)
    visitor.go("/ui/tasks?q=args.1:7")
    page.get_by_label("Select all shown").check()
    more = page.get_by_role("button", name=re.compile("Select all .*that match"))
    more.click()
    expect(page.locator("[data-selected]")).to_contain_text("that match are selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export JSON lines").click()
    download.value.save_as(tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_text().splitlines()

    assert {json.loads(line)["id"] for line in lines} >= set(sent)


def test_a_task_is_looked_at_beside_the_list_and_followed(visitor: Visitor, site: Site) -> None:
    some(visitor, site)
    page, keys = visitor.page, visitor.page.keyboard
    running = submit(site, "/tasks/long", seconds=3)
    eventually(lambda: running in page.request.get(site.url + "/ui/tasks?q=").text())
    visitor.go("/ui/tasks?q=")
    panel = page.locator("#peek")
    page.locator(f"#task-{running} button[name=peek]").click()
    expect(panel.locator("#peek-id")).to_have_text(running)
    expect(page).to_have_url(re.compile(f"peek={running}"))
    expect(panel.locator(".state-SUCCESS")).to_be_visible()
    expect(panel.locator("#peek-result")).to_contain_text("slept")
    page.go_back()
    expect(panel).to_have_count(0)
    expect(page).to_have_url(re.compile(r"q=$"))
    page.go_forward()
    expect(panel.locator("#peek-id")).to_have_text(running)
    keys.press("Escape")
    expect(panel).to_have_count(0)

    ids = listed(visitor)
    page.locator(f"#task-{ids[0]} .what a").focus()
    keys.press("v")
    expect(panel.locator("#peek-id")).to_have_text(ids[0])
    keys.press("j")
    expect(panel.locator("#peek-id")).to_have_text(ids[1])
    expect(page.locator(f"#task-{ids[1]}[data-peeked]")).to_have_count(1)
    keys.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.locator(f"#task-{ids[1]} .what a")).to_be_focused()
    keys.press(" ")
    expect(panel.locator("#peek-id")).to_have_text(ids[1])


def test_the_list_works_without_scripts(browser: Browser, site: Site, visitor: Visitor) -> None:
    (task,) = some(visitor, site, 1)
    for plain in visit(browser, site.url, java_script_enabled=False):
        page = plain.page
        page.goto(site.url + "/ui/tasks?q=state:success&sort=-created")
        page.locator(f"#task-{task} button[name=peek]").click()
        page.wait_for_url(f"**peek={task}*")
        expect(page.locator("#peek-id")).to_have_text(task)
        page.get_by_role("link", name="Close").click()
        expect(page.locator("#peek")).to_have_count(0)
        page.check(f"#task-{task} input")
        expect(page.get_by_role("button", name="Copy ids")).to_be_hidden()
        with page.expect_download() as download:
            page.get_by_role("button", name="Export CSV").click()
        assert task in Path(download.value.path()).read_text()


def test_new_tasks_are_said_once_and_politely(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    visitor.go("/ui/tasks?q=state:success")
    said = page.locator("[data-newer-said]")
    expect(said).to_have_text("")
    submit(site, "/tasks/add", x=1, y=1)
    expect(page.locator("#newer a")).to_contain_text("1 new")
    expect(said).to_have_text("1 new")
    page.keyboard.press(".")
    expect(page.locator("#newer a")).to_have_count(0)
