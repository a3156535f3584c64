"""Everybody can use each page: by eye, by ear, by keyboard, in any colours, at any size."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from tests.browser.access import BEYOND, DEAD, FOCUSED, MOVING, SAID, SHIFTS, violations
from tests.browser.conftest import Visitor, run_site, submit, visit
from tests.http import web
from tests.support import eventually
from tests.web.conftest import Site

ROWS = 1_000
"""Tasks that go through the list while axe looks at it."""
SHIFT = 0.01
"""How much of a page may move by itself (Chromium's measure; a tenth of what counts as good)."""
NARROW = 320
"""Pixels: a phone, or a window of 1,280 at 400 % (WCAG 1.4.10)."""
ZOOMED = 640
"""Pixels: what a window of 1,280 is at 200 %."""
TABS = 60
"""Presses of Tab: more than any page has before its content."""


@dataclass
class Busy:
    """A site with a task in each state that its worker can bring about."""

    site: Site
    paths: tuple[str, ...]
    running: str


def wait_for(site: Site, task_id: str, *states: str) -> None:
    eventually(lambda: web.get(f"{site.url}/tasks/{task_id}").json()["state"] in states, 60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of its own: so many tasks would change what others see of theirs."""
    yield from run_site(tmp_path_factory.mktemp("accessible"))


@pytest.fixture(scope="module")
def busy(site: Site) -> Busy:
    done = submit(site, "/tasks/process", data=[1, 2.5, 3])
    failed = submit(site, "/tasks/add", x=1e308, y=1e308)
    running = submit(site, "/tasks/long", seconds=300)
    later = submit(site, "/tasks", name="worker.tasks.add", args=[1, 2], countdown=3_000)
    wait_for(site, done, "SUCCESS")
    wait_for(site, failed, "FAILURE")
    wait_for(site, running, "STARTED", "PROGRESS")
    tasks = [f"/ui/tasks/{task_id}" for task_id in (done, failed, running, later)]
    return Busy(
        site,
        (
            "/",
            "/ui/tasks",
            "/ui/tasks?q=state:failure",
            "/ui/tasks?q=nothing-has-this-word",
            f"/ui/tasks?peek={done}",
            *tasks,
            "/ui/workers",
            "/ui/workers/w1@test",
            "/ui/queues",
            "/ui/queues/celery",
            "/ui/submit",
            "/ui/submit?name=worker.tasks.add",
            "/ui/figures",
            "/ui/data-quality",
            "/ui/attach",
            "/ui/patterns",
        ),
        running,
    )


def visitors(browser: Browser, site: Site, **options: object) -> Iterator[Visitor]:
    return visit(browser, site.url, **options)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(browser: Browser, busy: Busy, theme: str) -> None:
    found = {}
    for visitor in visitors(browser, busy.site, color_scheme=theme):
        for path in busy.paths:
            visitor.go(path)
            if wrong := violations(visitor.page):
                found[path] = wrong
    assert found == {}


def test_axe_finds_nothing_while_a_thousand_tasks_go_through_the_list(
    browser: Browser, busy: Busy
) -> None:
    site = busy.site
    for visitor in visitors(browser, site):
        tasks = [{"name": "worker.tasks.add", "args": [number, 1]} for number in range(ROWS)]
        answer = web.post(site.url + "/tasks/batch", json={"tasks": tasks}, timeout=60)
        assert answer.status_code == 202, answer.text
        visitor.go("/ui/tasks")
        visitor.page.evaluate(SAID)
        assert violations(visitor.page) == []
        wait_for(site, answer.json()["task_ids"][-1], "SUCCESS")
        said = visitor.page.evaluate("window.said")
        # Announced in batches: a thousand tasks with three states each are not read out.
        assert len(said) < 30, said


def test_pages_of_mistakes_are_pages_too(browser: Browser, busy: Busy) -> None:
    for visitor in visitors(browser, busy.site):
        for path in ("/ui/tasks?q=stat:no", "/ui/tasks/no-such-task", "/ui/queues/nowhere"):
            visitor.page.goto(busy.site.url + path)
            assert violations(visitor.page) == [], path
        visitor.complaints.clear()  # Chromium says of every 404 that it is one


@pytest.mark.parametrize("width", [NARROW, ZOOMED])
def test_no_page_is_wider_than_its_window(browser: Browser, busy: Busy, width: int) -> None:
    found = {}
    size = {"width": width, "height": 800}
    for visitor in visitors(browser, busy.site, viewport=size):
        for path in busy.paths:
            visitor.go(path)
            if wide := visitor.page.evaluate(BEYOND):
                found[path] = wide[:3]
    assert found == {}


def test_tab_goes_through_a_page_in_its_order_and_is_always_seen(
    browser: Browser, busy: Busy
) -> None:
    for visitor in visitors(browser, busy.site):
        page = visitor.page
        for path in ("/", "/ui/tasks", f"/ui/tasks/{busy.running}", "/ui/workers"):
            visitor.go(path)
            page.click("[data-pause]")  # so that nothing is exchanged meanwhile
            page.evaluate("document.activeElement.blur()")
            for _ in range(TABS):
                page.keyboard.press("Tab")
                focus = page.evaluate(FOCUSED)
                if focus is None:
                    break
                assert focus["ring"], (path, focus["html"])
                assert focus["seen"], (path, focus["html"])


def test_nothing_moves_for_who_wants_no_motion(browser: Browser, busy: Busy) -> None:
    for visitor in visitors(browser, busy.site, reduced_motion="reduce"):
        for path in busy.paths:
            visitor.go(path)
            moving = visitor.page.evaluate(MOVING)
            assert moving == [], path


def test_states_are_told_apart_in_the_systems_own_colours(browser: Browser, busy: Busy) -> None:
    for visitor in visitors(browser, busy.site, forced_colors="active"):
        for path in ("/", "/ui/workers", f"/ui/tasks/{busy.running}", "/ui/tasks"):
            visitor.go(path)
            assert violations(visitor.page) == [], path
        states = visitor.page.locator(".state").all()
        assert states
        for state in states:
            assert (state.text_content() or "").strip()
            assert state.locator("svg").count() == 1


def test_pages_stay_where_they_are_while_they_load_and_live(browser: Browser, busy: Busy) -> None:
    found = {}
    for visitor in visitors(browser, busy.site):
        visitor.page.add_init_script(f"({SHIFTS})()")
        for path in busy.paths:
            visitor.go(path)
            shifted = visitor.page.evaluate(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>"
                " done(window.shifted))))"
            )
            if shifted > SHIFT:
                found[path] = shifted
    assert found == {}


def test_every_page_says_what_it_has_without_scripts(browser: Browser, busy: Busy) -> None:
    for visitor in visitors(browser, busy.site, java_script_enabled=False):
        page = visitor.page
        for path in busy.paths:
            page.goto(busy.site.url + path, wait_until="domcontentloaded")
            assert page.locator("h1").count() == 1, path
            assert page.locator("main").inner_text().strip(), path
            if path != "/ui/patterns":  # whose buttons are there to be looked at
                assert page.evaluate(DEAD) == [], path
