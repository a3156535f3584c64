"""The design system: one table of states, colours that can be read, and no colour elsewhere."""

import re
from itertools import product
from pathlib import Path

import httpx
import pytest

from app.domain.tasks import TaskState
from app.domain.workers import WorkerState
from app.web.pages.assets import BUNDLES, StaticAssets
from app.web.pages.states import INKS, LOOKS, look_of, state_word
from tests.http import web
from tests.support import RedisServer
from tests.web.conftest import Site

STATIC = Path(__file__).resolve().parents[2] / "static"
SHEETS = sorted((STATIC / "css").rglob("*.css"))
TOKENS = (STATIC / "css/tokens.css").read_text()
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b(?![-\w])|\brgba?\(|\bhsla?\(|\boklch\(")
PAIR = re.compile(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)")
THEMES = ("light", "dark")
AA_TEXT, AA_LINES = 4.5, 3.0
"""Contrast that WCAG 2.2 AA asks of text (1.4.3), and of borders and rings that matter (1.4.11)."""

COLOURS = {
    (name, theme): colour
    for name, *pair in PAIR.findall(TOKENS)
    for theme, colour in zip(THEMES, pair, strict=True)
}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str, theme: str) -> float:
    lights = sorted(luminance(COLOURS[name, theme]) for name in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


TEXTS = [
    *((ink, ground) for ink in INKS for ground in (f"{ink}-tint", "surface", "raised", "page")),
    *product(("text", "muted", "accent"), ("page", "surface", "raised", "accent-tint")),
    ("accent-text", "accent-fill"),
    ("accent-text", "accent-hover"),
    ("danger-text", "danger-fill"),
]
LINES = [
    *product(("focus", "line-strong"), ("page", "surface")),
    ("running", "raised"),
    ("full", "raised"),
]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXTS)
def test_text_can_be_read_on_what_it_stands_on(ink: str, ground: str, theme: str) -> None:
    assert contrast(ink, ground, theme) >= AA_TEXT


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("line", "ground"), LINES)
def test_lines_that_tell_something_can_be_seen(line: str, ground: str, theme: str) -> None:
    assert contrast(line, ground, theme) >= AA_LINES


def test_every_state_has_a_word_a_meaning_an_icon_and_a_colour() -> None:
    icons = (STATIC / "icons.svg").read_text()

    assert set(LOOKS) == {*(each.value for each in TaskState), *(w.value for w in WorkerState)}
    for state, look in LOOKS.items():
        assert f'<symbol id="{look.icon}"' in icons
        assert look.ink in INKS
        assert look.word == state.capitalize()
        assert look.meaning.endswith(".")


def test_the_style_sheet_colours_each_state_as_the_table_says() -> None:
    text = (STATIC / "css/components/states.css").read_text()
    found = {}
    for names, ink in re.findall(r"([^{}]+)\{\s*--ink: var\(--([\w-]+)\);\s*--tint", text):
        for state in re.findall(r"\.state-([A-Z]+)", names):
            found[state] = ink
    del found["SCHEDULED"]  # no state of a task, but of times that are still to come

    assert found == {state: look.ink for state, look in LOOKS.items()}


def test_a_state_that_nobody_knows_still_has_a_look() -> None:
    assert look_of("HALFWAY").ink == "waiting"
    assert state_word("HALFWAY") == "Halfway"


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_colours_are_named_in_one_file_alone(sheet: Path) -> None:
    if sheet.name == "tokens.css":
        return
    without_ids = re.sub(r"url\([^)]*\)|^\s*#[\w-]+ [^{]*\{", "", sheet.read_text(), flags=re.M)

    assert COLOUR.findall(without_ids) == []


def test_every_token_that_is_used_is_there() -> None:
    named = set(re.findall(r"(--[\w-]+):", "".join(sheet.read_text() for sheet in SHEETS)))
    for sheet in SHEETS:
        used = set(re.findall(r"var\((--[\w-]+)", sheet.read_text()))
        assert used <= named, sheet.name


def test_style_sheets_are_small_and_each_has_its_layer() -> None:
    for sheet in SHEETS:
        text = sheet.read_text()
        assert text.count("\n") < 450, sheet.name
        assert "@layer" in text, sheet.name


def test_what_every_page_needs_is_one_file_without_what_only_readers_need() -> None:
    assets = StaticAssets()
    address = assets.url("css/umbel.css")
    [sha8] = re.findall(r"/static/(\w{8})/css/umbel\.css", address)
    body = assets._assets["css/umbel.css"].body.decode()

    assert sha8 == assets._assets["css/umbel.css"].sha8
    assert body.startswith("@layer tokens, base, layout, components;")
    assert "/*" not in body
    assert "\n " not in body
    for part in BUNDLES["css/umbel.css"]:
        assert (STATIC / part).is_file()
    assert body.count("{") == sum(
        (STATIC / part).read_text().count("{") for part in BUNDLES["css/umbel.css"]
    )


def test_the_pattern_page_shows_every_state_colour_and_icon(client: httpx.Client) -> None:
    page = client.get("/ui/patterns", headers={"Accept": "text/html"})

    assert page.status_code == 200
    for state, look in LOOKS.items():
        assert f'<span class="state state-{state}">' in page.text
        assert look.meaning in page.text
    for ink in INKS:
        assert f'class="ink-{ink}"' in page.text
    shown = set(re.findall(r"icons\.svg#([\w-]+)", page.text))
    assert shown >= set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))


def test_each_page_says_which_environment_it_is(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    site = Site(redis, tmp_path, env={"UMBEL_LABEL": "production"}).start()
    try:
        for path in ("/", "/ui/tasks", "/ui/nowhere"):
            page = web.get(site.url + path, headers={"Accept": "text/html"}).text
            assert '<header class="top label-red">' in page, path
            assert '<span class="label" title="production">production</span>' in page, path
    finally:
        site.stop()
        redis.stop()


def test_how_close_things_stand_is_what_this_browser_chose(client: httpx.Client) -> None:
    for word, said in (("compact", True), ("comfortable", True), ('"><script>', False)):
        page = client.get("/ui/tasks", headers={"Cookie": f"umbel_density={word}"}).text
        assert (f'data-density="{word}"' in page) is said
    assert '<script>">' not in page
