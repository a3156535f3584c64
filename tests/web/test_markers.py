"""Markers: kept within limits, written down, told over REST and drawn on every chart."""

import re
import time
from itertools import pairwise

import httpx
import pytest

from app.domain.filters import print_time
from app.feed.times import read_moment
from app.store import audit
from app.store.database import Database
from app.store.markers import Marker
from app.web.pages.marks import DRAWN, marks_of, said
from app.web.pages.scales import Span
from tests.support import eventually
from tests.web.conftest import Site, unique

DEPLOYED = {"title": "Deployed the shop", "version": "v1.2", "url": "https://example.com/r?a=1&b=2"}


def test_a_marker_is_kept_told_drawn_and_taken_away(client: httpx.Client, site: Site) -> None:
    title = unique()
    before = time.time()
    made = client.post("/markers", json={**DEPLOYED, "title": title})
    assert made.status_code == 201, made.text
    marker = made.json()

    assert {key: marker[key] for key in DEPLOYED} == {**DEPLOYED, "title": title}
    assert before - 1 < (read_moment(marker["at"]) or 0) < time.time() + 1
    since = print_time(before - 1)
    assert marker in client.get("/markers", params={"since": since}).json()["markers"]
    assert marker not in client.get("/markers", params={"until": since}).json()["markers"]

    def charts(path: str) -> str:
        # What was read a moment ago is shown once more.
        return eventually(lambda: title in (page := client.get(path).text) and page)

    page = charts("/?range=24h")
    assert page.count(f"<title>v1.2: {title}</title><line") == 4, "a line on each chart"
    assert re.search(rf'href="https://example.com/r\?a=1&amp;b=2"[^>]*>v1.2: {title}<', page)
    assert f"v1.2: {title}" in charts("/ui/figures?range=24h")

    assert client.delete(f"/markers/{marker['id']}").status_code == 204
    assert client.delete(f"/markers/{marker['id']}").status_code == 404
    assert marker not in client.get("/markers").json()["markers"]
    db = Database.open(site.folder / "data")
    done = [(one.action, one.outcome) for one in audit.entries(db)]
    db.close()
    assert ("mark", "done") in done
    assert ("unmark", "done") in done


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": " "}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"title": "x", "version": ""}, "version"),
        ({"title": "x", "url": "javascript:alert(1)"}, "url"),
        ({"title": "x", "url": "//example.com"}, "url"),
        ({"title": "x", "at": "yesterday"}, "at"),
        ({"title": "x", "at": "2099-01-01T00:00:00Z"}, "at"),
        ({"title": "x", "colour": "red"}, "colour"),
    ],
)
def test_what_can_not_be_drawn_is_refused(
    client: httpx.Client, body: dict[str, str], field: str
) -> None:
    answer = client.post("/markers", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]


def test_marks_are_few_apart_and_harmless_in_the_pages_data() -> None:
    span = Span(0, 60, 60)
    many = [Marker(at=float(at), title="a|b;c", version=None) for at in range(3_599, 0, -60)]
    found = marks_of(span, many)

    assert len(found) == DRAWN
    words = [mark.x for mark in found if mark.word]
    assert 1 < len(words) < 10
    assert all(one - other >= 12 for one, other in pairwise(words))
    assert found[0].turned
    assert said(found, 3_540, 3_600) == "a/b,c"
    assert marks_of(span, [Marker(at=3_600.0, title="after"), Marker(at=-1.0, title="x")]) == ()
