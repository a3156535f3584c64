"""The page of honest figures: each says what it means, and unknown is never 0."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from app.feed.status import RecorderStatus
from app.store.blind_windows import BlindWindow
from app.store.stories import Stories
from app.web.health import Health, Part
from app.web.pages import quality_figures as figures
from app.web.pages.quality import CAUSES, in_words
from app.web.pages.quality_figures import Figure, Grade
from app.web.quality import Known
from tests.http import web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site
from tests.web.test_health import nobody_records

NOW = 1_790_000_000.0
WELL = {"recorder": "r", "at": NOW, "started_at": NOW - 60, "live": True, "since": NOW - 60}


def health(recorder: bool = True, store: bool = True) -> Health:
    parts = {
        "recorder": Part(recorder, NOW - 5, "" if recorder else "no recorder is running"),
        "store": Part(store, NOW - 7, "" if store else "no answer"),
        "broker": Part(True, NOW - 9),
    }
    return cast(Health, SimpleNamespace(**parts))


def known(**changes: Any) -> Known:
    day = Stories(NOW - 86_400, 1_000, 990, 2)
    hour = Stories(NOW - 3_600, 0, 0, 0)
    return Known(**{"hour": hour, "day": day, "reasons": {}, "windows": (), "causes": {}} | changes)


def every(status: RecorderStatus | None, seen: Known | None, of: Health) -> dict[str, Figure]:
    sections = (
        figures.hearing(of, status),
        figures.dropping(of, status),
        figures.ways(of, status),
        figures.known_stories(of, seen),
        figures.healing(of, status, seen),
        figures.kept(of, "sqlite"),
    )
    return {figure.name: figure for section in sections for figure in section.figures}


def test_what_nobody_can_tell_is_unknown_since_a_moment_and_never_zero() -> None:
    found = every(None, None, health(recorder=False, store=False))

    told = {"Hearing", "Store", "Broker"}
    assert all(found[name].grade is Grade.UNKNOWN for name in set(found) - told)
    assert {found[name].at for name in set(found) - told} == {NOW - 5, NOW - 7}
    assert not [figure for figure in found.values() if re.search(r"\d", figure.value)]
    assert found["Hearing"].grade is found["Store"].grade is Grade.BAD


def test_a_site_in_order_has_nothing_to_complain_of() -> None:
    found = every(RecorderStatus(**WELL, checked_at=NOW - 9), known(), health())

    assert not [
        figure
        for figure in found.values()
        if figure.grade is Grade.BAD and "Lost" not in figure.name
    ]
    assert found["Whole stories, last hour"].value == "no task ended"
    assert found["Whole stories, last 24 h"].value == "99 %"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Lag", {"lag": 6.0}),
        ("Backlog", {"backlog": 60_000}),
        ("Dropped here", {"dropped": 1}),
        ("Dropped by workers", {"producer_dropped": 1}),
        ("Stream lag", {"stream_lag": 60.0, "stream_position": "1-0"}),
        ("Last check", {"checked_at": NOW - 3_600}),
    ],
)
def test_a_figure_that_is_bad_says_so(name: str, changes: dict[str, Any]) -> None:
    found = every(RecorderStatus(**WELL, **changes), known(), health())

    assert found[name].grade is Grade.BAD
    assert found[name].meaning.endswith(".")
    assert found[name].advice.endswith((".", ")."))


def test_one_missing_story_is_not_rounded_away() -> None:
    seen = known(day=Stories(NOW, 100_000, 99_999, 0))
    found = every(None, seen, health())

    assert found["Whole stories, last 24 h"].value == "99.9 %"
    assert found["Whole stories, last 24 h"].grade is Grade.NOTE


def test_reasons_are_listed_the_most_frequent_first() -> None:
    malformed = {f"reason {number}": number + 1 for number in range(12)}
    found = every(RecorderStatus(**WELL, malformed=malformed), known(), health())["Malformed"]

    assert found.value == "78"
    assert found.parts[0] == ("reason 11", "12")
    assert found.parts[-1] == ("others", "10")


def test_a_window_is_told_in_words() -> None:
    window = BlindWindow(
        began_at=NOW,
        ended_at=NOW + 4,
        healed_at=NOW + 6,
        cause="trimmed",
        found=0,
        ended=1_200,
        lost=3,
    )
    told = in_words(window)

    assert told.cause == CAUSES["trimmed"]
    assert (told.seconds, told.healed_after) == (4, 2)
    assert told.outcome == "Tasks: 1,200 turned out to have ended, 3 given up as lost."
    open_window = in_words(BlindWindow(began_at=NOW, cause="of a later version"))
    assert (open_window.cause, open_window.seconds) == ("of a later version", None)
    gap = BlindWindow(began_at=NOW, cause="dropped", source="w1@host|123|0a1b2c3d")
    assert in_words(gap).source == "w1@host, process 123"


def test_every_cause_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data-quality.md").read_text()

    assert not [cause for cause in CAUSES if f"| `{cause}` |" not in text]


def test_the_page_needs_no_script(client: httpx.Client) -> None:
    page = client.get("/ui/data-quality").text

    for title in ("Hearing", "What did not get in", "Ways of hearing", "What is known of tasks"):
        assert title in page
    assert page.count("When it is bad") + page.count("Needs attention") > 10
    assert "Leads" in eventually(
        lambda: "Leads" in (text := client.get("/ui/data-quality").text) and text
    )
    assert 'href="/ui/data-quality"' in client.get("/").text


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site of the test's own, which it may break."""
    server = RedisServer(tmp_path / "redis").start()
    found = Site(server, tmp_path).start()
    eventually(found.ready)
    yield found
    found.stop()
    server.stop()


def test_a_recorder_that_says_nothing_leaves_figures_unknown(own: Site) -> None:
    address = own.url + "/ui/data-quality"
    assert "unknown since" not in eventually(
        lambda: "Whole stories" in (text := web.get(address).text) and text
    )
    with nobody_records(own):
        page = eventually(lambda: "unknown since" in (text := web.get(address).text) and text)

    assert "Nothing has been heard since" in page
    assert "no recorder is running" in page


def test_the_page_is_live(client: httpx.Client) -> None:
    lines: list[str] = []
    with client.stream("GET", "/ui/live/data-quality") as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if sum('hx-target="#hearing"' in each for each in lines) == 2:
                break

    assert any('hx-target="#windows"' in line for line in lines)
