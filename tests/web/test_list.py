"""The list of tasks: its columns, and what its address says of them."""

import html
import re

import httpx

from app.web.pages.query import read_query
from tests.support import eventually
from tests.web.conftest import ended, submit, unique

HEADS = re.compile(r'<th scope="col"[^>]*>([^<]+)</th>')


def pairs(text: str) -> list[tuple[str, str]]:
    return [tuple(pair.split("=", 1)) for pair in text.split("&")]  # type: ignore[misc]


def test_columns_stay_in_every_address_of_the_page() -> None:
    query = read_query(pairs("q=state:failure since:1h&columns=ran,id"), now=0.0)

    assert query.address() == "/ui/tasks?q=state:failure+since:1h&columns=task,id,ran"
    assert query.any_state() == "/ui/tasks?q=since:1h&columns=task,id,ran"
    assert query.cleared() == "/ui/tasks?columns=task,id,ran"
    assert query.usual_columns() == "/ui/tasks?q=state:failure+since:1h"
    assert read_query(pairs("q=x"), now=0.0).cleared() == "/ui/tasks?q="


def test_a_list_shows_the_columns_that_its_address_names(client: httpx.Client) -> None:
    ended(client, submit(client, "/tasks/add", {"x": 1, "y": 2}))
    usual = client.get("/ui/tasks").text
    chosen = client.get("/ui/tasks?columns=result&columns=task&columns=priority").text

    assert HEADS.findall(usual) == [
        *("State", "Task", "Queue and worker", "First seen", "Waited", "Ran"),
    ]
    assert HEADS.findall(chosen) == ["Task", "Result", "Priority"]
    assert 'class="sub' not in chosen
    assert client.get("/ui/tasks?columns=colour").status_code == 422


def test_rows_that_change_come_in_the_columns_of_their_list(client: httpx.Client) -> None:
    task = submit(client, "/tasks/long", {"seconds": 0.3})
    eventually(lambda: client.get(f"/tasks/{task}").status_code == 200)
    text = ""
    with client.stream("GET", f"/ui/live/tasks?id={task}&columns=task,result") as stream:
        for part in stream.iter_text():
            text += part
            if "slept" in text:
                break

    assert 'data-label="result"' in text
    assert "state-cell" not in text


def test_the_search_and_the_menu_of_columns_keep_each_other(client: httpx.Client) -> None:
    word = unique()
    page = client.get(f"/ui/tasks?q=name:{word}&sort=runtime&columns=task,ran").text
    menu = page[(at := page.index('id="columns"')) : page.index("</form>", at)]
    search = page[(at := page.index('role="search"')) : page.index("</form>", at)]

    assert f'name="q" value="name:{word}"' in menu
    assert 'name="sort" value="runtime"' in menu
    assert 'name="columns" value="task,ran"' in search
    assert menu.count(" checked") == 1


def test_a_task_is_shown_beside_the_list_without_scripts(client: httpx.Client) -> None:
    task = submit(client, "/tasks/add", {"x": 20, "y": 22})
    ended(client, task)
    page = client.get("/ui/tasks", params={"q": "state:success", "sort": "created", "peek": task})
    panel = page.text[
        (at := page.text.index('<section id="peek"')) : page.text.index("</section>", at)
    ]

    assert "42" in panel
    assert f'id="peek-id">{task}<' in panel
    assert 'href="/ui/tasks?q=state:success&amp;sort=created"' in panel, "closing keeps the list"
    assert client.get(f"/ui/peek/{task}").text.startswith('<section id="peek"')
    unknown = client.get("/ui/tasks?q=&peek=never-heard-of")
    assert unknown.status_code == 200
    assert "Nothing is known of this task now." in unknown.text
    form = page.text[page.text.index('<form id="peek-form"') :]
    assert 'name="q" value="state:success"' in form[: form.index("</form>")]


def test_an_empty_list_leads_on(client: httpx.Client) -> None:
    word = unique()
    hidden = client.get("/ui/tasks", params={"q": f"{word} since:1h"}).text

    assert "No task matches these filters" in hidden
    assert f'href="/ui/tasks?q={word}">without since:1h<' in hidden
    assert 'href="/ui/tasks?q=since:1h">without' in hidden


def test_a_task_that_comes_to_match_is_new_to_a_list(client: httpx.Client) -> None:
    """A list of revoked tasks is open while one is revoked that was there already."""
    queue = unique()
    call = {"name": "worker.tasks.add", "args": [1, 1], "queue": queue}
    tasks = [submit(client, "/tasks", call) for _ in range(2)]
    eventually(lambda: len(client.get(f"/tasks?queue={queue}").json()["tasks"]) == 2)
    page = client.get("/ui/tasks", params={"q": f"state:revoked queue:{queue}"}).text
    live = re.search(r'data-live="([^"]+)"', page)
    assert live
    assert "No task matches these filters" in page
    text = ""
    with client.stream("GET", html.unescape(live[1])) as stream:
        parts = stream.iter_text()
        text += next(parts)
        assert "1 new" not in text
        assert client.delete(f"/tasks/{tasks[0]}").status_code == 202
        for part in parts:
            text += part
            if "1 new" in text:
                break

    assert "1 new" in text
