"""Rows that are sent again: the newest of each is drawn, and only what is another one changes."""

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, submit
from tests.web.conftest import Site

AGAIN = """(row) => {
  window.cells = [...row.cells].map((cell) => cell.firstElementChild);
  const came = (word) => {
    const fresh = row.cloneNode(true);
    fresh.querySelector(".sub").textContent = word;
    return fresh.outerHTML;
  };
  const send = (rows) => document.dispatchEvent(
    new CustomEvent("umbel:came", {detail: {rows, whole: false}}));
  send([came("first").replace(row.id, "task-of-another-page"), came("second")]);
  send([came("third")]);
  requestAnimationFrame(() => requestAnimationFrame(() => send([came("fourth")])));
}"""
KEPT = "(row) => [...row.cells].every((cell, at) => cell.firstElementChild === window.cells[at])"


def test_the_newest_of_each_row_is_shown_and_the_rest_of_it_stays(
    visitor: Visitor, site: Site
) -> None:
    task = submit(site, "/tasks/add", x=1, y=2)
    visitor.go(f"/ui/tasks/{task}")
    visitor.state("SUCCESS")
    visitor.go("/ui/tasks")
    row = visitor.page.locator(f"#task-{task}")
    row.evaluate(AGAIN)

    expect(row.locator(".sub")).to_have_text("fourth")
    assert row.evaluate(KEPT)
    expect(row.locator(".state-SUCCESS")).to_have_count(1)
