"""The search as REST, the page and its suggestions have it."""

import re
import time

import httpx

from tests.support import eventually
from tests.web.conftest import ended, listening, submit


def found(client: httpx.Client, search: str) -> list[str]:
    """The ids of all that a search finds: a page may be short where the machine is slow."""
    ids, cursor = [], ""
    while True:
        page = client.get("/tasks", params={"q": search, "cursor": cursor}).json()
        ids += [task["id"] for task in page["tasks"]]
        if not (cursor := page["next"] or ""):
            return ids


def marker() -> int:
    """A number that no other task has for an argument."""
    return time.time_ns()


def add(client: httpx.Client, x: int, y: int) -> str:
    """Submits a sum with its arguments by name, and gives the task's id."""
    return submit(client, "/tasks", {"name": "worker.tasks.add", "kwargs": {"x": x, "y": y}})


def test_a_search_over_rest_finds_by_argument_and_leaves_out(client: httpx.Client) -> None:
    number = marker()
    one = add(client, number, 1)
    other = add(client, 1, number)
    ended(client, one)
    ended(client, other)

    assert eventually(lambda: found(client, f"state:success args.x:{number}")) == [one]
    by_place = submit(client, "/tasks/add", {"x": 3, "y": number})
    ended(client, by_place)
    assert found(client, f"args.y:{number}") == [by_place, other]
    assert found(client, f"-args.x:{number} {number} since:1h") == [by_place, other]
    assert set(found(client, f"{number} runtime:<1m -args.x:3")) == {one, other}
    assert found(client, f"{number} -state:success") == []


def test_a_mistake_over_rest_says_where_it_stands(client: httpx.Client) -> None:
    for path in ("/tasks", "/events"):
        answer = client.get(path, params={"q": "add stat:failure"})
        problem = answer.json()

        assert answer.status_code == 422
        assert problem["errors"] == [
            {
                "loc": ["query", "q", 4, 8],
                "msg": "There is no key 'stat'; did you mean 'state'?",
            }
        ]


def test_a_stream_takes_the_same_search(client: httpx.Client) -> None:
    number = marker()
    search = f"args.x:{number} -state:pending".replace(" ", "%20")
    with listening(f"{client.base_url}/events?q={search}") as stream:
        add(client, 1, number)
        task = add(client, number, 1)
        seen = stream.wait_for(lambda event: event.name == "task")

    assert seen.data["id"] == task
    assert {event.data["id"] for event in stream.named("task")} == {task}


def test_the_page_shows_the_search_in_its_form_with_parts_to_take_away(
    client: httpx.Client,
) -> None:
    page = client.get("/ui/tasks?state=FAILURE&since=1h&q=name:no*+-other").text

    assert 'value="state:failure name:no* since:1h -other"' in page
    assert 'href="/ui/tasks?q=state:failure+since:1h+-other" aria-label="Remove name:no*"' in page
    assert 'aria-label="Remove -other"' in page
    assert re.search(r'<a class="chip age"[^>]* aria-current="true">1 hour</a>', page)
    assert "No task matches these filters" in page


def test_a_mistake_on_the_page_is_marked_and_nothing_is_searched(client: httpx.Client) -> None:
    answer = client.get("/ui/tasks", params={"q": 'name:<b> state:faild "x'})

    assert answer.status_code == 422
    assert 'aria-invalid="true" aria-describedby="search-mistakes"' in answer.text
    assert "name:&lt;b&gt; state:<mark>faild</mark> &#34;x" in answer.text
    assert "The quotes that begin here do not end" in answer.text
    assert 'href="/ui/tasks?q=name:%3Cb%3E+state:failure+%22x"' in answer.text
    assert "Nothing was searched" in answer.text
    assert "<tr" not in answer.text


def offered(client: httpx.Client, text: str) -> tuple[str, list[str]]:
    answer = client.get("/ui/suggest", params={"q": text}).json()
    return answer["partial"], [option["text"] for option in answer["options"]]


def test_keys_states_and_known_names_are_suggested(client: httpx.Client) -> None:
    ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))

    assert offered(client, "x na") == ("na", ["name:"])
    assert offered(client, "state:failure,lo") == ("lo", ["lost"])
    assert offered(client, "name:add")[1][0] == "worker.tasks.add"
    assert offered(client, "name:worker.t")[1][:1] == ["worker.t*"]
    assert offered(client, "worker:w1") == ("w1", ["w1@test"])
    assert offered(client, "-queue:cel") == ("cel", ["celery"])
    assert offered(client, "args.secon") == ("args.secon", ["args.seconds:"])
    assert offered(client, "args.seconds:") == ("", [])
    assert offered(client, "since:1") == ("1", ["15m", "1h"])
    assert offered(client, '"w') == ('"w', [])
    assert "state:failure" in offered(client, "fail")[1]
    assert "name:worker.tasks.add" in offered(client, "add")[1]
    assert offered(client, "x ")[1] == [
        "state:", "name:", "queue:", "worker:", "args.", "runtime:", "since:", "until:", "ended:",
    ]  # fmt: skip


def test_a_long_text_is_not_completed(client: httpx.Client) -> None:
    assert client.get("/ui/suggest", params={"q": "x" * 2_001}).status_code == 422
