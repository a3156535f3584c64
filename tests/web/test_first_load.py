"""What a browser is sent when it opens a page for the first time, byte by byte."""

import gzip
import re

import httpx
import pytest

from tests.support import eventually
from tests.web.conftest import ended, submit

FIRST_LOAD = 80 * 1024
"""Bytes on the wire of the list of tasks with all that it needs."""
ROWS = 50
PACKED = {"Accept-Encoding": "gzip"}
ADDRESS = re.compile(r'(?:href|src)="(/static/[^"#]+)')


def wire(client: httpx.Client, path: str) -> tuple[int, str]:
    """How many bytes of an answer go over the wire, and its text."""
    with client.stream("GET", path, headers=PACKED) as answer:
        body = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip", path
        assert "Accept-Encoding" in answer.headers["vary"], path
        assert int(answer.headers["content-length"]) == len(body)
        head = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    return len(body) + head, gzip.decompress(body).decode()


def test_the_list_of_tasks_and_all_that_it_needs_is_small(client: httpx.Client) -> None:
    batch = {"tasks": [{"name": "worker.tasks.add", "args": [n, n]} for n in range(ROWS)]}
    assert client.post("/tasks/batch", json=batch).status_code == 202
    eventually(lambda: len(client.get("/tasks?state=SUCCESS").json()["tasks"]) >= ROWS)
    total, page = wire(client, "/ui/tasks")
    addresses = set(ADDRESS.findall(page)) | set(re.findall(r'href="(/static/[^"#]+)#', page))
    for address in addresses:
        total += wire(client, address)[0]

    assert page.count("<tr id=") == ROWS
    assert len(addresses) >= 10
    assert total <= FIRST_LOAD, f"{total:,} bytes"


def test_lists_for_programs_are_packed_for_those_who_take_it(client: httpx.Client) -> None:
    ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))
    plain = client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    packed = client.get("/openapi.json", headers=PACKED)

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 4


@pytest.mark.parametrize("accepted", ["br", "gzip;q=0", "identity"])
def test_who_does_not_take_gzip_is_not_sent_it(client: httpx.Client, accepted: str) -> None:
    headers = {"Accept-Encoding": accepted}
    assert "content-encoding" not in client.get("/ui/tasks", headers=headers).headers
    with client.stream("GET", "/ui/live/tasks", headers=headers) as stream:
        assert "content-encoding" not in stream.headers


def test_a_small_answer_is_not_packed(client: httpx.Client) -> None:
    answer = client.get("/healthz", headers=PACKED)

    assert "content-encoding" not in answer.headers


def test_a_live_page_is_one_packed_stream(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    with client.stream("GET", f"/ui/live/tasks/{task_id}", headers=PACKED) as stream:
        assert stream.headers["content-encoding"] == "gzip"
        assert stream.headers["cache-control"] == "no-store, no-transform"
        text = ""
        for part in stream.iter_text():
            text += part
            if "state-SUCCESS" in text:
                break

    assert text.startswith("data: <hx-partial")
