"""What a person does with the dashboard, from the first click to what they see."""

import re

from celery import Celery
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.support import eventually
from tests.web.conftest import Site


def test_a_task_submitted_by_form_is_watched_to_its_end(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    page.click("summary:has-text('long_task')")
    form = page.locator("details[open] form")
    form.get_by_label("seconds", exact=True).fill("6")
    form.get_by_role("button", name="Submit").click()

    visitor.task_page()
    visitor.state("PROGRESS")
    expect(page.locator("#progress .meter")).to_be_visible()
    visitor.state("SUCCESS")
    expect(page).to_have_title(re.compile(r"^(\(\d+\) )?Success long_task · Umbel$"))
    expect(page.locator("#story")).to_contain_text("Started")


def test_a_mistake_in_a_form_is_shown_beside_its_field(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/ui/submit?name=worker.tasks.add")
    page.get_by_label("x", exact=True).fill("two")
    page.get_by_label("y", exact=True).fill("3")
    page.get_by_role("button", name="Submit").click()

    wrong = page.locator("[aria-invalid=true]")
    expect(wrong).to_have_value("two")
    expect(page.locator(".wrong")).to_contain_text("not a number")
    visitor.complaints.clear()  # Chromium says of every 422 that it is one


def test_a_filter_lives_in_the_address_and_can_be_shared(
    visitor: Visitor, browser: Browser, site: Site
) -> None:
    kept = submit(site, "/tasks/process", data=[1, 2, 3])
    other = submit(site, "/tasks/add", x=2, y=3)
    page = visitor.page
    visitor.go("/ui/tasks")
    page.get_by_role("combobox", name="Search tasks").fill("name:worker.tasks.process_data")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/ui/tasks?q=name%3Aworker.tasks.process_data")
    expect(page.locator(f"#task-{kept}")).to_be_visible()
    expect(page.locator(f"#task-{other}")).to_have_count(0)
    page.click(".chip.state-SUCCESS")
    page.wait_for_url("**/ui/tasks?q=state:success+name:worker.tasks.process_data")

    for friend in visit(browser, site.url):
        friend.page.goto(page.url)
        expect(friend.page.get_by_role("combobox", name="Search tasks")).to_have_value(
            "state:success name:worker.tasks.process_data"
        )
        expect(friend.page.locator(f"#task-{kept}")).to_be_visible()


def test_a_selection_stays_while_rows_change_and_new_ones_are_only_counted(
    visitor: Visitor, site: Site
) -> None:
    running = submit(site, "/tasks/long", seconds=3)
    page = visitor.page
    eventually(lambda: running in page.request.get(site.url + "/ui/tasks").text())
    visitor.go("/ui/tasks")
    rows = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.id)")
    page.check(f"#task-{running} input")
    for number in range(3):
        submit(site, "/tasks/add", x=number, y=1)

    expect(page.locator("#newer")).to_contain_text("3 new — show")
    page.wait_for_selector(f"#task-{running} .state-SUCCESS")
    expect(page.locator(f"#task-{running} input")).to_be_checked()
    expect(page.locator("[data-selected]")).to_have_text("1 selected")
    assert rows == page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.id)")

    page.click("#newer a")
    expect(page.locator("tbody tr")).to_have_count(min(50, len(rows) + 3))


def test_a_running_task_is_terminated(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    task = submit(site, "/tasks/long", seconds=60)
    eventually(lambda: page.request.get(f"{site.url}/ui/tasks/{task}").ok)
    visitor.go(f"/ui/tasks/{task}")
    visitor.state("PROGRESS")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Terminate").click()

    visitor.state("REVOKED")
    expect(page.locator("#related")).to_contain_text("Terminate by anyone")
    expect(page.get_by_role("button", name="Revoke")).to_be_disabled()
    expect(page.locator("#why-revoke")).to_contain_text("It has ended: Revoked")


def test_a_task_is_run_again_with_other_arguments(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    task = submit(site, "/tasks/add", x=2, y=3)
    visitor.go(f"/ui/tasks/{task}")
    visitor.state("SUCCESS")
    page.get_by_role("link", name="Edit and run again").click()
    page.get_by_label("Arguments", exact=True).fill("[20, 30]")
    page.get_by_role("textbox", name="Keyword arguments").fill("{}")
    page.get_by_role("button", name="Send as a new task").click()
    page.wait_for_url(re.compile(f"/ui/tasks/(?!{task})"))

    visitor.state("SUCCESS")
    expect(page.locator("#values")).to_contain_text("50")
    again = page.locator("#related").get_by_role("link", name=task[:8])
    expect(again.first).to_be_visible()


def test_pages_render_without_scripts(browser: Browser, site: Site) -> None:
    task = submit(site, "/tasks/add", x=2, y=3)
    for visitor in visit(browser, site.url, java_script_enabled=False):
        page = visitor.page
        for path in ("/", "/ui/tasks", "/ui/workers", "/ui/queues", f"/ui/tasks/{task}"):
            page.goto(site.url + path)
            expect(page.locator("main")).not_to_be_empty()
            expect(page.locator("nav.sections a")).to_have_count(6)
        page.goto(site.url + "/ui/submit?name=worker.tasks.add")
        page.get_by_label("x", exact=True).fill("40")
        page.get_by_label("y", exact=True).fill("2")
        page.get_by_role("button", name="Submit").click()
        visitor.task_page()
        expect(page.locator("h1")).to_have_text("add")


def test_hostile_text_stays_text(visitor: Visitor, site: Site) -> None:
    page = visitor.page
    hostile = '<img src=x onerror=a(1)><script>alert(2)</script>"><b hx-get="/">\r\n</hx-partial>'
    app = Celery(broker=site.redis.url)
    task = app.send_task("worker.tasks.add", args=[hostile], kwargs={"y": hostile}).id
    app.close()
    eventually(lambda: page.request.get(f"{site.url}/ui/tasks/{task}").ok)

    visitor.go(f"/ui/tasks/{task}")
    visitor.state("FAILURE")
    expect(page.locator("#values")).to_contain_text("<script>alert(2)</script>")
    for path in (f"/ui/tasks/{task}", "/ui/tasks", "/", "/ui/tasks?q=%3Cimg%20src%3Dx%3E"):
        visitor.go(path)

        assert page.locator("main img[src=x], main script, main b[hx-get]").count() == 0


def test_no_page_is_wider_than_a_phone(browser: Browser, site: Site) -> None:
    task = submit(site, "/tasks/process", data=[1.5] * 100)
    paths = ("/", "/ui/tasks", "/ui/workers", "/ui/queues", "/ui/queues/celery", "/ui/submit")
    for visitor in visit(browser, site.url, viewport={"width": 375, "height": 800}):
        for path in (*paths, f"/ui/tasks/{task}"):
            visitor.go(path)
            wide = visitor.page.evaluate("document.documentElement.scrollWidth")

            assert wide <= 375, path


def test_a_row_changes_under_its_reader_and_stays_as_he_left_it(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.page
    task = submit(site, "/tasks/long", seconds=4)
    eventually(lambda: page.request.get(f"{site.url}/tasks/{task}").json()["started_at"])
    visitor.go("/ui/tasks")
    row = page.locator(f"#task-{task}")
    row.get_by_role("checkbox").check()
    row.get_by_role("checkbox").focus()
    page.evaluate("(id) => { window.kept = document.getElementById(id); }", f"task-{task}")
    expect(row.locator(".state-SUCCESS")).to_be_visible()

    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(row.get_by_role("checkbox")).to_be_focused()
    expect(row.locator("time[data-ago]").first).to_contain_text(re.compile("ago|now"))
    assert page.evaluate("window.kept.isConnected")
