"""The first page as people use it: what needs attention, and charts that are read and opened."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect

from tests.browser.conftest import Visitor, submit, visit
from tests.http import web
from tests.support import eventually
from tests.web.conftest import Site

PLACES = 15
"""Steps of the shortest range."""
LISTED = re.compile(r"/ui/tasks\?.*ended=[^&]+\.\.[^&]+")


@pytest.fixture(scope="module")
def busy(site: Site) -> Site:
    """The site, when some tasks have ended on it."""
    for number in range(10):
        submit(site, "/tasks/add", x=number, y=1)
    eventually(lambda: ended_of(site) >= 10)
    return site


def ended_of(site: Site) -> int:
    total = web.get(site.url + "/stats?since=15m").json()["figures"]["total"]
    return int(total["ended"])


def middle_of(canvas: Locator, place: int) -> tuple[float, float]:
    """Where a step is on the screen."""
    box = canvas.bounding_box()
    assert box is not None
    return box["x"] + box["width"] * (place + 0.5) / PLACES, box["y"] + box["height"] / 2


def canvas_of(page: Page) -> Locator:
    canvas = page.locator(".canvas").first
    canvas.scroll_into_view_if_needed()
    return canvas


def all_steps(page: Page) -> list[list[str]]:
    told = page.locator("#ended").get_attribute("data-steps") or ""
    return [step.split("|") for step in told.split(";")]


def test_pointing_at_a_step_reads_its_exact_numbers(visitor: Visitor, busy: Site) -> None:
    page = visitor.page
    visitor.go("/?range=15m")
    canvas = canvas_of(page)
    all_of_it = page.locator("[data-cell='1']").inner_text()
    place = next(place for place, step in enumerate(all_steps(page)) if step[1] not in "0—")
    page.mouse.move(*middle_of(canvas, place))
    expect(page.locator("[data-when]")).to_contain_text("UTC")

    chosen = page.locator("[data-open]").get_attribute("href") or ""
    since = datetime.fromtimestamp(int(all_steps(page)[place][0]), UTC)
    assert f"{since:%Y-%m-%dT%H:%M:%S}" in chosen.replace("%3A", ":")
    width = page.locator(".cursor").first.get_attribute("width") or ""
    assert float(width.rstrip("%")) == pytest.approx(100 / PLACES)
    page.mouse.move(5, 5)
    expect(page.locator("[data-when]")).to_be_hidden()
    assert int(page.locator("[data-cell='1']").inner_text().replace(",", "")) >= int(
        all_of_it.replace(",", "")
    )


def test_dragging_over_a_time_lists_its_tasks(visitor: Visitor, busy: Site) -> None:
    page = visitor.page
    visitor.go("/?range=15m")
    canvas = canvas_of(page)
    page.mouse.move(*middle_of(canvas, 2))
    page.mouse.down()
    page.mouse.move(*middle_of(canvas, 8))
    page.mouse.move(*middle_of(canvas, PLACES - 1))
    expect(page.locator("[data-open]")).to_contain_text(re.compile("ended: the list"))
    page.mouse.up()
    page.wait_for_url(LISTED)

    expect(page.locator("tr[id^=task-]").first).to_be_visible()


def test_the_keyboard_takes_several_steps_and_opens_their_list(
    visitor: Visitor, busy: Site
) -> None:
    page = visitor.page
    visitor.go("/?range=15m")
    scrub = page.get_by_role("slider")
    scrub.focus()
    expect(page.locator("[data-when]")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    one = page.locator("[data-when]").inner_text()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    several = page.locator("[data-when]").inner_text()
    expect(scrub).to_have_attribute("aria-valuetext", re.compile("ended, .* succeeded"))
    page.keyboard.press("Enter")
    page.wait_for_url(LISTED)

    assert one.split("–")[1] == several.split("–")[1]
    assert one != several


def test_a_finger_that_is_dragged_chooses_a_time_and_then_opens_it(
    browser: Browser, busy: Site
) -> None:
    size = {"width": 375, "height": 800}
    for visitor in visit(browser, busy.url, viewport=size, has_touch=True):
        page = visitor.page
        visitor.go("/?range=15m")
        canvas = canvas_of(page)
        # A phone has its sections at the bottom, and what needs attention above the charts.
        canvas.evaluate("one => one.scrollIntoView({block: 'center'})")
        touch = page.context.new_cdp_session(page)

        def send(kind: str, *place: tuple[float, float], to: CDPSession = touch) -> None:
            points = [{"x": x, "y": y} for x, y in place]
            to.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        send("touchStart", middle_of(canvas, 2))
        for step in range(3, PLACES):
            send("touchMove", middle_of(canvas, step))
        send("touchEnd")
        wide = f"{100 * (PLACES - 2) / PLACES:.2f}"[:4]
        cursor = page.locator(".cursor").first
        expect(cursor).to_have_attribute("width", re.compile("^" + re.escape(wide)))
        expect(page).to_have_url(busy.url + "/?range=15m")
        chosen = page.locator("[data-open]").get_attribute("href") or ""
        assert LISTED.search(chosen)
        page.goto(busy.url + chosen)
        expect(page.locator("tr[id^=task-]").first).to_be_visible()


def test_a_marker_is_drawn_and_said_where_one_points(visitor: Visitor, busy: Site) -> None:
    page = visitor.page
    made = web.post(
        busy.url + "/markers", json={"title": "Deployed | now; really", "version": "v9"}
    )
    assert made.status_code == 201
    visitor.go("/?range=15m")
    expect(page.locator(".marker text", has_text="v9")).to_have_count(4)
    canvas = canvas_of(page)
    expect(canvas).to_have_accessible_description(
        re.compile(re.escape("v9: Deployed | now; really"))
    )
    place = next(at for at, step in enumerate(all_steps(page)) if "v9" in step[-1])
    page.mouse.move(*middle_of(canvas, place))
    expect(page.locator("[data-note]")).to_contain_text("v9: Deployed / now, really")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    for _ in range(PLACES):
        if "v9" in (slider.get_attribute("aria-valuetext") or ""):
            break
        page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("v9: Deployed"))
    web.delete(f"{busy.url}/markers/{made.json()['id']}")
    eventually(lambda: "v9" not in web.get(busy.url + "/?range=15m").text)


def test_a_chart_fills_in_place(visitor: Visitor, busy: Site) -> None:
    page = visitor.page
    visitor.go("/?range=15m")
    canvas = canvas_of(page)
    page.mouse.move(*middle_of(canvas, PLACES - 2))
    expect(page.locator("[data-when]")).to_be_visible()
    before = page.locator("[data-charts]").bounding_box()
    kept = page.evaluate("window.kept = document.querySelector('.canvas'); window.kept.isConnected")
    told = page.locator("#ended").get_attribute("data-steps")
    submit(busy, "/tasks/add", x=1, y=1)
    expect(page.locator("#ended")).not_to_have_attribute("data-steps", told or "")
    after = page.locator("[data-charts]").bounding_box()

    assert kept
    assert before is not None
    assert after is not None
    assert (before["width"], before["height"]) == (after["width"], after["height"])
    assert page.evaluate("window.kept.isConnected"), "the drawing is changed, not replaced"
    expect(page.locator("[data-when]")).to_be_visible()


def test_the_charts_are_plain_pages_without_scripts(browser: Browser, busy: Site) -> None:
    for visitor in visit(browser, busy.url, java_script_enabled=False):
        page = visitor.page
        page.goto(busy.url + "/?range=24h&by=queue&sort=run")
        expect(page.locator(".canvas")).to_have_count(4)
        expect(page.locator("th[aria-sort] a")).to_have_text("Ran, p95")
        expect(page.get_by_role("slider")).to_have_count(0)
        page.get_by_role("link", name="15m").click()
        expect(page.locator("nav [aria-current=true]").first).to_have_text("15m")
        page.get_by_role("link", name="The steps as a table").click()
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(PLACES)
        rows.last.get_by_role("link").first.click()
        expect(page).to_have_url(LISTED)
        page.goto(busy.url + "/?range=15m")
        bars = page.locator(".bars a")
        expect(bars).to_have_count(PLACES)
        place = next(at for at, step in enumerate(all_steps(page)) if step[1] not in "0—")
        bars.nth(place).click()
        expect(page).to_have_url(LISTED)
        expect(page.locator("tr[id^=task-]").first).to_be_visible()


def test_a_failing_task_needs_attention_and_its_list_proves_it(
    visitor: Visitor, busy: Site
) -> None:
    page = visitor.page
    for _ in range(4):
        submit(busy, "/tasks/add", x=1e308, y=1e308)
    visitor.go("/")
    sentence = page.locator("#attention .grade-bad a", has_text="add fails")
    expect(sentence).to_contain_text("in the last 15 minutes")
    sentence.click()
    page.wait_for_url("**/ui/tasks?*")

    expect(page.locator("tr[id^=task-] .state-FAILURE").first).to_be_visible()
