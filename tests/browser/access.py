"""What the tests of accessibility ask of a page, in the page."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = (Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""All that WCAG 2.2 AA asks and axe can tell, and more."""

BEYOND = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > wide + 1 && one.checkVisibility())
    .map((one) => one.outerHTML.slice(0, 120));
}"""
FOCUSED = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return null;
  // What is drawn around the charts shows that their slider, which is unseen, has the focus.
  const one = focused.matches("[data-scrub]") ? focused.nextElementSibling : focused;
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  const over = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const stroked = one instanceof SVGElement
    && [...one.children].some((child) => getComputedStyle(child).stroke !== "none");
  const drawn = style.outlineStyle !== "none" || style.boxShadow !== "none" || stroked;
  const cover = over && over.closest("header.top, dialog, [popover], .selection");
  return {
    html: focused.outerHTML.slice(0, 100),
    ring: focused.matches(":focus-visible") && drawn,
    seen: box.width > 0 && box.height > 0 && !!over && (!cover || cover.contains(one)),
  };
}"""
MOVING = """() => document.getAnimations()
  .filter((one) => one.effect.getTiming().iterations === Infinity
    || one.effect.getTiming().duration > 1)
  .map((one) => one.animationName || one.transitionProperty)"""
DEAD = """() => [...document.querySelectorAll("main button, header button, main a")]
  .filter((one) => one.checkVisibility())
  .filter((one) => one.tagName === "A" ? !one.hasAttribute("href")
    : one.type !== "submit" && !one.popoverTargetElement && !one.commandForElement)
  .map((one) => one.outerHTML.slice(0, 160))"""
SAID = """() => {
  window.said = [];
  const watch = (region) => new MutationObserver(() => {
    const text = region.textContent.trim();
    if (text && window.said.at(-1) !== text) window.said.push(text);
  }).observe(region, {childList: true, subtree: true, characterData: true});
  document.querySelectorAll("[role=status],[role=alert],[aria-live=polite],[aria-live=assertive],output")
    .forEach(watch);
}"""
SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({type: "layout-shift", buffered: true});
}"""


def violations(page: Page) -> list[tuple[str, str, list[str]]]:
    """What keeps people out of this page, as axe sees it: the rule, what it says, and where."""
    # Evaluated, and not added as a script: the page's policy lets no other script in.
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    return [
        (each["id"], each["help"], [node["html"][:160] for node in each["nodes"][:3]])
        for each in found["violations"]
    ]
