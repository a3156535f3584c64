"""Pictures of pages, compared with those that are kept: all of it in the browser that took them.

A picture is kept at half its size and with 16 steps of each colour, which makes it small and lets
no smoothing of an edge count as a change. `make looks` keeps the present ones; a test that fails
leaves what it saw, and where that differs, in `.looks`.
"""

import base64
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

KEPT = Path(__file__).parent / "looks"
SEEN = Path(__file__).resolve().parents[2] / ".looks"
RENEW = "UMBEL_TEST_RENEW_LOOKS"
ALLOWED = 0.001
"""Of the pixels, that may differ: a caret, a corner, one glyph of another version of Chromium."""
NEAR = 40
"""Of 255, that each colour of a pixel may differ: two of the 16 steps."""
NOW = 1_795_375_660_000
"""Milliseconds since the epoch at which every page is looked at."""
WIDTHS = {1440: 900, 375: 812}
FONTS = ("DejaVu Sans", "DejaVu Sans Mono")
"""Those that Debian has wherever it has Chromium (`.ci/install-browser`)."""
SCRIPT = (Path(__file__).parent / "looks.js").read_text()
ARGS = ("--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb")
STYLE = f"""
:root {{ --sans: "{FONTS[0]}", sans-serif; --mono: "{FONTS[1]}", monospace; }}
*, ::before, ::after {{ animation: none !important; caret-color: transparent !important; }}
.sections .badge, .toasts:empty {{ display: none !important; }}
"""
CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "1acdb165-0000-4000-8000-1"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b", "1acdb165"),
    (r"\d{4}-\d\d-\d\d", "2026-11-22"),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "19:26:09"),
    (r"(in )?\d+(\.\d+)? ?(ms|µs|s|m|min|h)\b( \d+ ?(ms|s|min)\b)?( ago)?", "1 s"),
    (r"\bnow\b", "1 s"),
    (r"\d+\.\d+(\.\d+)*", "1.0"),
)
"""What is never twice the same on a page, and what stands there in a picture."""


def looker(browser: Browser, width: int) -> BrowserContext:
    """A context in which a page looks the same each time."""
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
        bypass_csp=True,
    )
    context.route(re.compile("/ui/live/"), lambda _: None)  # what is live never answers
    return context


def settle(page: Page) -> None:
    """Puts what is the same each time in the place of what is not."""
    page.add_style_tag(content=STYLE)
    page.evaluate("document.fonts.ready")
    _run(page, "settle", [CHANGING, socket.gethostname()])


def need_fonts(page: Page) -> None:
    """Fails where the fonts of the pictures are missing; elsewhere than on Linux it skips."""
    for name, (width, without) in zip(FONTS, _run(page, "sizes", FONTS), strict=True):
        if width != without:
            continue
        if not sys.platform.startswith("linux"):
            pytest.skip(f"The pictures were taken with {name}, which is not here.")
        pytest.fail(
            f"The pictures were taken with {name}, which is not here: install the package "
            "fonts-dejavu-core.",
            pytrace=False,
        )


def compare(desk: Page, name: str, picture: bytes) -> None:
    """Compares with the picture that is kept; `desk` is any page of the browser."""
    path = KEPT / f"{name}.png"
    kept = base64.b64encode(path.read_bytes()).decode() if path.is_file() else None
    found = _run(desk, "compare", [base64.b64encode(picture).decode(), kept, NEAR])
    if found["different"] <= ALLOWED:
        return
    if os.environ.get(RENEW):
        KEPT.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(found["small"]))
        return
    SEEN.mkdir(exist_ok=True)
    for ending, data in (("", found["small"]), ("-diff", found["marked"])):
        (SEEN / f"{name}{ending}.png").write_bytes(base64.b64decode(data))
    why = (
        "there is no picture of it yet"
        if kept is None
        else f"its size is another one: {json.dumps(found['sizes'])}"
        if "sizes" in found
        else f"{found['different']:.2%} of its pixels differ, and {ALLOWED:.1%} may"
    )
    pytest.fail(
        f"{name} does not look as it did: {why}. Kept is {path}, seen was {SEEN / name}.png, and "
        f"{name}-diff.png beside it marks the difference. If it is meant: make looks.",
        pytrace=False,
    )


def _run(page: Page, name: str, given: object) -> Any:
    return page.evaluate(f"(given) => {SCRIPT.strip()}.{name}(given)", given)
