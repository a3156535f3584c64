"""The palette's one question to the server: what it finds, and in which order."""

import re

import httpx
import pytest

from app.web.pages.palette import BEGINS, EXACT, NONE, PART, PARTS, WORD, fit
from tests.support import eventually
from tests.web.conftest import ended, submit

RESULT = re.compile(r'<a href="([^"]*)"[^>]*>.*?class="what">(.*?)</span>.*?kind muted">(.*?)<')


def found(client: httpx.Client, text: str) -> list[tuple[str, ...]]:
    """Address, words and kind of each result."""
    answer = client.get("/ui/palette", params={"part": "list", "q": text})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return [tuple(part.strip() for part in one) for one in RESULT.findall(answer.text)]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Queues", "Queues", EXACT),
        ("que", "Queues", BEGINS),
        ("add", "worker.tasks.add", WORD),
        ("w2", "celery@w2", WORD),
        ("data", "worker.tasks.process_data", WORD),
        ("asks", "worker.tasks.add", PART),
        ("add worker", "worker.tasks.add", PARTS),
        ("mail", "worker.tasks.add", NONE),
    ],
)
def test_a_name_fits_the_better_the_more_it_begins_so(text: str, name: str, expected: int) -> None:
    assert fit(text, name) == expected


def test_everything_is_found_and_the_exact_comes_first(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, task_id)

    assert found(client, task_id)[0] == (f"/ui/tasks/{task_id}", "add", "Task · Success")
    assert found(client, task_id[:8])[0][0] == f"/ui/tasks/{task_id}"
    assert found(client, "w1@test")[0][:2] == ("/ui/workers/w1@test", "w1@test")
    assert ("/ui/queues/celery", "celery", "Queue") in found(client, "cel")
    assert [one[0] for one in found(client, "process_data")][:2] == [
        "/ui/tasks?q=name:worker.tasks.process_data",
        "/ui/submit?name=worker.tasks.process_data",
    ]
    view = client.post("/views", json={"name": "Zebra crossing", "q": "state:failure"})
    assert view.status_code == 201
    named = ("/ui/tasks?q=state:failure", "Zebra crossing", "View")
    eventually(lambda: found(client, "zebra")[0] == named)
    client.delete(view.headers["location"])
    assert found(client, "data quality")[0][0] == "/ui/data-quality"
    assert found(client, "zeppelin x")[-1][0] == "/ui/tasks?q=zeppelin+x"


def test_without_a_text_there_are_the_pages(client: httpx.Client) -> None:
    assert {kind for _, _, kind in found(client, " ")} == {"Page"}


def test_what_is_typed_stays_text(client: httpx.Client) -> None:
    hostile = '<img src=x onerror="a(1)">'
    page = client.get("/ui/palette", params={"q": hostile}).text

    assert "<img src" not in page
    assert client.get("/ui/palette", params={"q": "x" * 201}).status_code == 422
