"""The parts that pages are made of: formats, values, forms, stories, assets, live channels."""

import asyncio
import base64
import hashlib
import json
import time
import uuid
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from markupsafe import Markup

from app.domain.columns import USUAL
from app.domain.errors import BadSearch, StoreUnavailable, TooMany
from app.domain.tasks import Task, TaskState
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.tailed import Tailed
from app.operations.catalog import Catalog, Entry
from app.web.pages import channel as channels
from app.web.pages import formats, live
from app.web.pages.assets import StaticAssets
from app.web.pages.channel import FRAMES_KEPT, Channel, encode
from app.web.pages.digest import Digest, read_digest
from app.web.pages.forms import answer, offers
from app.web.pages.json_text import pretty
from app.web.pages.query import read_query, show_mistake
from app.web.pages.recall import Recall
from app.web.pages.render import Templates
from app.web.streams import Stream
from tests.support import eventually_async

STATIC = Path(__file__).resolve().parents[2] / "static"
SCHEMA = {
    "type": "object",
    "properties": {
        "x": {"type": "number", "minimum": 0},
        "words": {"type": "array", "items": {"type": "string"}},
        "flag": {"type": "boolean", "default": False},
        "note": {"type": "string", "default": ""},
    },
    "required": ["x"],
    "additionalProperties": False,
    "x-positional": ["x", "words", "flag", "note"],
}


def _offer(schema: dict[str, object] | None = None):
    schemas = () if schema is None else (json.dumps(schema),)
    return offers(Catalog({"t": Entry("t", "Does.", schemas, ("w",))}))[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.0004, "0.4 ms"),
        (0.0123, "12 ms"),
        (1.5, "1.50 s"),
        (61, "1 min 1 s"),
        (7200, "2 h"),
        (93_600, "1 d 2 h"),
    ],
)
def test_durations_are_said_in_two_units_at_most(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


def test_an_element_id_is_plain_whatever_the_name_is() -> None:
    assert formats.dom_id("task", "abc-1") == "task-abc-1"
    assert formats.dom_id("task", '"><x hx-get=1>').startswith("task-x")
    assert formats.dom_id("task", "\ud800").isascii()


def test_json_is_indented_without_changing_a_number_or_a_word() -> None:
    text = pretty('{"a": 123456789012345678901234567890, "b": ["<i>", 1e400, null]}')

    assert "123456789012345678901234567890" in text
    assert "1e400" in text
    assert "<i>" not in text
    assert "&lt;i&gt;" in text


def test_a_long_list_gets_a_line_for_each_item() -> None:
    assert pretty(json.dumps(["a" * 40, "b" * 40])).count("\n") == 3
    assert pretty(json.dumps([1, 2, 3])).count("\n") == 0


def test_a_form_becomes_a_call_with_numbers_as_they_were_typed() -> None:
    found = answer(
        _offer(SCHEMA),
        {"arg.x": "123456789012345678901", "arg.words": '"a", "b"', "arg.note": 'say "hi"'},
    )

    assert found.errors == ()
    assert found.args == "[]"
    assert json.loads(found.kwargs) == {
        "x": 123456789012345678901,
        "words": ["a", "b"],
        "flag": False,
        "note": 'say "hi"',
    }


def test_what_was_typed_stays_in_a_form_with_mistakes() -> None:
    found = answer(_offer(SCHEMA), {"arg.x": "two", "arg.words": "[1"})

    assert [error.loc for error in found.errors] == [("x",), ("words",)]
    assert [field.text for field in found.fields][:2] == ["two", "[1"]


def test_a_required_argument_that_is_missing_is_named() -> None:
    found = answer(_offer(SCHEMA), {})

    assert [(error.loc, error.msg) for error in found.errors] == [(("x",), "It has to be given.")]


def test_a_task_without_a_schema_takes_lists_and_objects() -> None:
    found = answer(_offer(), {"arg.args": "[1, 2]", "arg.kwargs": '{"a": 1}'})

    assert (json.loads(found.args), json.loads(found.kwargs)) == ([1, 2], {"a": 1})


def test_further_arguments_follow_those_by_position() -> None:
    schema = {**SCHEMA, "x-var-positional": True}
    found = answer(_offer(schema), {"arg.x": "1", "arg.words": "[]", "arg.args": "[8, 9]"})

    assert json.loads(found.args)[0] == 1
    assert json.loads(found.args)[-2:] == [8, 9]


def test_an_address_of_the_list_has_its_search_in_one_form() -> None:
    query = read_query([("state", "FAILURE"), ("since", "1h"), ("cursor", "5"), ("x", "y")], 1e9)

    assert query.address() == "/ui/tasks?q=state:failure+since:1h"
    assert query.address("7") == "/ui/tasks?q=state:failure+since:1h&cursor=7"
    assert query.toggled(TaskState.FAILURE) == "/ui/tasks?q=since:1h"
    assert query.toggled(TaskState.RETRY) == "/ui/tasks?q=state:failure,retry+since:1h"
    assert query.any_state() == "/ui/tasks?q=since:1h"
    assert query.cursor == "5"


def test_parts_of_a_search_are_taken_away_one_by_one() -> None:
    query = read_query([("q", 'state:lost name:a,b -x "y z" since:1h'), ("sort", "runtime")], 1e9)

    assert [(one.words, one.address) for one in query.removable()] == [
        ("name:a", "/ui/tasks?q=state:lost+name:b+since:1h+%22y+z%22+-x&sort=runtime"),
        ("name:b", "/ui/tasks?q=state:lost+name:a+since:1h+%22y+z%22+-x&sort=runtime"),
        ('"y z"', "/ui/tasks?q=state:lost+name:a,b+since:1h+-x&sort=runtime"),
        ("-x", "/ui/tasks?q=state:lost+name:a,b+since:1h+%22y+z%22&sort=runtime"),
    ]
    assert [one.words for one in query.ages() if one.chosen] == ["1 hour"]
    assert "since" not in next(one.address for one in query.ages() if one.chosen)


def test_a_mistake_is_shown_within_its_text_and_mended_by_a_link() -> None:
    query = read_query([("sort", "runtime")], 1e9)
    with pytest.raises(BadSearch) as wrong:
        read_query([("q", "a state:faild b")], 1e9)
    [shown] = [show_mistake(query, wrong.value.text, one) for one in wrong.value.mistakes]

    assert (shown.before, shown.wrong, shown.after) == ("a state:", "faild", " b")
    assert shown.mended == "/ui/tasks?q=a+state:failure+b&sort=runtime"


def test_fragments_travel_line_by_line() -> None:
    frame = encode({"a": Markup("<p>\r\none\rtwo</p>"), "b": Markup("\ud800")}).decode()

    assert frame.endswith("\n\n")
    assert all(line.startswith("data: ") for line in frame.strip().split("\n"))
    assert "\r" not in frame


class _View:
    key = "k"
    every = 0.0

    def take(self, changes: object) -> bool:
        return True

    async def fragments(self) -> dict[str, Markup]:
        return {}


class _Counting(_View):
    """Looks different each time that it is rendered."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Markup]] = []

    @property
    def rendered(self) -> int:
        return len(self.shown)

    async def fragments(self) -> dict[str, Markup]:
        self.shown.append({"a": Markup(f"number {self.rendered}")})
        return self.shown[-1]


async def test_a_viewer_gets_all_first_and_then_only_what_changed() -> None:
    channel = Channel(_View())
    await channel.show({"a": Markup("1"), "b": Markup("1")})
    await channel.show({"a": Markup("1"), "b": Markup("1")})
    assert channel.position == 1
    await channel.show({"a": Markup("2"), "b": Markup("1")})

    assert channel.position == 2
    assert channel.since(0).plain == encode({"a": "2", "b": "1"})
    assert channel.since(1).plain == encode({"a": "2"})


async def test_a_viewer_that_missed_frames_gets_the_newest_of_each_fragment_once() -> None:
    channel = Channel(_View())
    for number in range(4):
        await channel.show({"a": Markup(number), "b": Markup(number // 2), "c": Markup("1" * 50)})

    missed = channel.since(1)
    assert missed.plain == encode({"a": "3", "b": "1"})
    assert channel.since(1) is missed, "and that is made once for all who missed the same"


async def test_a_viewer_that_fell_far_behind_gets_all() -> None:
    channel = Channel(_View())
    for number in range(FRAMES_KEPT + 3):
        await channel.show({"a": Markup(number)})

    frame = channel.since(1)
    assert frame.plain == encode({"a": str(FRAMES_KEPT + 2)})
    assert channel.since(0) is frame, "and it is encoded once for all who need it"


class Quiet:
    """A feed without changes, and the parts around a page, without a site."""

    position = 0
    fragments: dict[str, Markup] = {}  # noqa: RUF012

    async def wait(self, position: int, patience: float) -> bool:
        await asyncio.sleep(patience)
        return False

    def after(self, position: int, limit: int) -> list[object]:
        return []

    async def refresh(self) -> None:
        await asyncio.sleep(0)

    def as_of(self, at: float | None) -> Markup:
        return Markup(at)


class Screen:
    """A viewer: what it was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.stream = Stream(self._take)

    async def _take(self, message: Any) -> None:
        self.sent.append(message["body"])

    async def has_been_sent(self, count: int) -> bool:
        return len(self.sent) >= count


async def test_a_view_that_nobody_watches_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    views, screen = live.LiveViews(Quiet(), Quiet()), Screen()  # type: ignore[arg-type]
    watching = asyncio.create_task(views.follow(_View(), screen.stream))
    await eventually_async(partial(screen.has_been_sent, 1))
    assert (views.views, views.viewers) == (1, 1)

    monkeypatch.setattr(live, "VIEW_LIMIT", 1)
    other = _View()
    other.key = "other"
    with pytest.raises(TooMany):
        views.check(other)
    watching.cancel()
    await asyncio.wait([watching])

    assert (views.views, views.viewers) == (0, 0)


async def test_many_viewers_of_a_page_cost_one_rendering_and_one_packing_a_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packings = []
    monkeypatch.setattr(channels, "pack_frame", lambda frame: packings.append(frame) or frame)
    view = _Counting()
    views, screens = live.LiveViews(Quiet(), Quiet()), [Screen() for _ in range(50)]  # type: ignore[arg-type]
    watching = [
        asyncio.create_task(views.follow(view, screen.stream, packed=True)) for screen in screens
    ]
    for screen in screens:
        await eventually_async(partial(screen.has_been_sent, 3))
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)

    frames = {frame for screen in screens for frame in screen.sent[1:]}
    assert len(frames) <= view.rendered
    assert len(packings) <= view.rendered + 1, "each frame once, and the whole of it once"


async def test_frames_packed_apart_are_one_gzip_stream() -> None:
    screen, view = Screen(), _Counting()
    views = live.LiveViews(Quiet(), Quiet())  # type: ignore[arg-type]
    watching = asyncio.create_task(views.follow(view, screen.stream, packed=True))
    await eventually_async(partial(screen.has_been_sent, 3))
    watching.cancel()
    await asyncio.wait([watching])
    plain = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(b"".join(screen.sent[:3]))

    texts = [str(fragments["a"]) for fragments in view.shown[:3]]
    first = encode({"a": texts[0], "as-of": "None"})
    assert plain == first + b"".join(encode({"a": text}) for text in texts[1:])


def test_a_view_is_told_once_of_many_changes_of_one_task() -> None:
    changes = []
    for position in range(1, 6):
        task = Task(id="t", seq=position, queue="q", worker="w", parent_id="parent")
        changes.append(Tailed(position, Change(f"1-{position}", "task", encode_summary(task))))
    digest = Digest(changes)

    assert digest.tasks == {"t": changes[-1]}
    assert (digest.newest, "q" in digest.queues, "w" in digest.workers) == (5, True, True)
    assert digest.concerns("t")
    assert digest.concerns("parent")
    assert not digest.concerns("other")
    assert not Digest([])


def test_what_cannot_be_read_of_the_feed_is_a_gap() -> None:
    ours = Tailed(1, Change("1-1", "task", encode_summary(Task(id="t", seq=1))))
    for data in (b"{", b'{"id": 1}', b"[]"):
        assert read_digest([ours, Tailed(2, Change("1-2", "task", data))]) is None
    assert read_digest([ours, Tailed(2, Change("1-2", "reset", b"{}"))]) is None
    assert read_digest(None) is None
    assert read_digest([ours])


def test_a_view_that_is_read_slowly_misses_a_bounded_number_of_ticks() -> None:
    channel = Channel(_View())
    change = Tailed(1, Change("1-1", "queue", b"{}"))
    for _ in range(channels.MISSED + 5):
        channel.tell(Digest([change]))

    assert channel.missed[0] is None, "what it missed it reads anew"
    assert len(channel.missed) <= channels.MISSED


async def test_a_page_that_cannot_be_read_is_as_it_was() -> None:
    reason = ""
    recall = Recall(lambda: reason, kept=2)

    async def read() -> str:
        return "now"

    async def away() -> str:
        raise StoreUnavailable("away")

    assert await recall("a", read) == ("now", None)
    then, at = await recall("a", away)
    assert (then, at) == ("now", pytest.approx(time.time(), abs=60))
    with pytest.raises(StoreUnavailable):
        await recall("b", away)
    for key in "cd":
        await recall(key, read)
    with pytest.raises(StoreUnavailable):
        await recall("a", away)
    reason = "no answer for a while"
    assert (await recall("d", read))[1] is not None, "nobody waits for it"
    with pytest.raises(StoreUnavailable, match="no answer for a while"):
        await recall("e", read)


async def test_assets_are_kept_for_ever_under_the_hash_of_their_content() -> None:
    assets = StaticAssets()
    address = assets.url("css/base.css")
    transport = httpx.ASGITransport(assets)
    async with httpx.AsyncClient(transport=transport, base_url="http://umbel") as client:
        found = await client.get(address)
        old = await client.get("/static/00000000/css/base.css")
        outside = await client.get("/static/00000000/%2e%2e/app/main.py")
        posted = await client.post(address)

    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-type"].startswith("text/css")
    assert old.headers["cache-control"] == "no-cache"
    assert (outside.status_code, posted.status_code) == (404, 405)
    assert {a.headers["content-type"] for a in (outside, posted)} == {"application/problem+json"}


def test_vendored_files_are_what_their_list_says() -> None:
    vendor = STATIC / "vendor"
    listed = json.loads((vendor / "VENDOR.json").read_text())
    for package in listed.values():
        assert (vendor / package["licence_file"]).is_file()
        for name, expected in package["files"].items():
            digest = hashlib.sha384((vendor / name).read_bytes()).digest()

            assert "sha384-" + base64.b64encode(digest).decode() == expected, name


def test_arguments_are_shown_as_in_a_call() -> None:
    assert formats.arguments(Task(id="a", args="[2,3]", kwargs='{"a":1}')) == ('2,3, {"a":1}')


async def test_rows_are_an_event_of_their_own() -> None:
    row = Markup('<tr id="task-1">\n<td>1</td>\r</tr>')

    assert encode({"newer": Markup("<div></div>"), "task-1": row}) == (
        b'event: rows\ndata: <tr id="task-1">\ndata: <td>1</td>\ndata: </tr>\n\n'
        b'data: <hx-partial hx-target="#newer" hx-swap="outerMorph"><div></div></hx-partial>\n\n'
    )
    assert encode({"task-1": row}).count(b"\n\n") == 1


def test_a_frame_of_fifty_changed_rows_is_small_on_the_wire() -> None:
    render, rows = Templates(StaticAssets()), {}
    for number in range(50):
        task = Task(
            id=str(uuid.uuid4()),
            seq=number,
            name="worker.tasks.add",
            state=TaskState.SUCCESS,
            args=f"[{number}, {number * 7}]",
            queue="celery",
            worker="worker1@host",
            sent_at=1e9 + number / 7,
            received_at=1e9 + number / 6,
            started_at=1e9 + number / 5,
            runtime=number / 9,
        )
        rows[f"task-{number}"] = render(
            "tasks/_row.html", task=task, reason=None, columns=USUAL.shown
        )
    frame = channels.Frame(rows)

    assert len(frame.plain) < 64_000
    assert len(frame.packed) < 6_000
