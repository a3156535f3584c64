"""Submitting: what is accepted, what is refused, and that a refusal changes nothing."""

import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.web.conftest import Site, ended, submit, unique

BIG = 2**70


def test_a_submitted_addition_is_run_and_its_result_read(client: httpx.Client) -> None:
    answer = client.post("/tasks/add", json={"x": 2, "y": 3})

    body = answer.json()
    task_id = body["task_id"]
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/tasks/{task_id}"
    assert body == {
        "task_id": task_id,
        "state": "PENDING",
        "links": {
            "self": f"/tasks/{task_id}",
            "events": f"/tasks/{task_id}/events",
            "page": f"/ui/tasks/{task_id}",
        },
    }
    task = ended(client, task_id)
    assert (task["state"], task["result"], task["args"]) == ("SUCCESS", 5, [2, 3])


def test_an_answer_has_the_headers_of_all_others(client: httpx.Client) -> None:
    answer = client.post("/tasks/add", json={"x": 2, "y": 3})
    other = client.get(answer.headers["location"])

    own = {"location"} | set(other.headers)
    assert set(answer.headers) == own
    alike = own - {"location", "date", "content-length"}
    assert {name: answer.headers[name] for name in alike} == {
        name: other.headers[name] for name in alike
    }


def test_requests_sent_one_behind_the_other_are_answered_in_order(site: Site) -> None:
    address = urlsplit(site.url)
    body = b'{"x": 2, "y": 3}'
    head = f"POST /tasks/add HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection((address.hostname, address.port), 10) as plug:
        plug.sendall((head.encode() + b"\r\n" + body) * 2)
        plug.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        answers = b"".join(iter(lambda: plug.recv(65_536), b""))

    assert answers.count(b"HTTP/1.1 202 Accepted\r\n") == 3
    assert answers.count(b"connection: close\r\n") == 1
    assert len(set(re.findall(rb'"task_id":"([^"]+)"', answers))) == 3


def test_a_submitted_task_is_never_unknown(client: httpx.Client) -> None:
    for _ in range(20):
        task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
        assert client.get(f"/tasks/{task_id}").status_code == 200


def test_integers_of_any_size_stay_exact(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": BIG, "y": 1})

    assert str(BIG) in client.get(f"/tasks/{task_id}").text
    assert ended(client, task_id)["result"] == BIG + 1


def test_the_other_samples_are_run(client: httpx.Client) -> None:
    long = submit(client, "/tasks/long", {"seconds": 0.2})
    process = submit(client, "/tasks/process", {"data": [1, 2.5, 4]})

    assert ended(client, long)["state"] == "SUCCESS"
    result = ended(client, process)["result"]
    assert (result["count"], result["sum"], result["max"]) == (3, 7.5, 4)


def test_any_registered_task_is_submitted_with_options(client: httpx.Client) -> None:
    body = {"name": "worker.tasks.add", "kwargs": {"x": 1, "y": 2}, "queue": "celery"}
    task_id = submit(client, "/tasks", {**body, "countdown": 0.1, "expires": 60, "priority": 3})

    task = ended(client, task_id)
    assert task["result"] == 3
    assert task["eta"] is not None
    assert task["expires"] is not None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/tasks/add", '{"x": 1, "y": -1%s}', "y"),
        ("/tasks/process", '{"data": [2, 1%s]}', "data"),
    ],
)
def test_a_number_that_no_float_holds_is_refused_before_a_worker_would(
    client: httpx.Client, path: str, body: str, field: str
) -> None:
    answer = client.post(path, content=body % ("0" * 400))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]


def test_a_body_with_line_breaks_does_not_break_the_stream(client: httpx.Client) -> None:
    text = '{"name": "worker.tasks.add",\r\n "args": [1,\n\r\n 2]}'
    answer = client.post("/tasks", content=text)

    assert answer.status_code == 202
    assert ended(client, answer.json()["task_id"])["result"] == 3


def test_curl_without_a_content_type_is_understood(client: httpx.Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}

    assert client.post("/tasks/add", content='{"x":1,"y":2}', headers=form).status_code == 202


REFUSED = [
    ("/tasks/add", '{"x": NaN, "y": 1}', "x"),
    ("/tasks/add", '{"x": Infinity, "y": 1}', "x"),
    ("/tasks/add", '{"x": 1, "y": 1e999}', "y"),
    ("/tasks/add", '{"x": true, "y": 1}', "x"),
    ("/tasks/add", '{"x": "1", "y": 1}', "x"),
    ("/tasks/add", '{"x": null, "y": 1}', "x"),
    ("/tasks/add", '{"x": 1}', "y"),
    ("/tasks/add", '{"x": 1, "y": 1, "z": 1}', "z"),
    ("/tasks/long", '{"seconds": -1}', "seconds"),
    ("/tasks/long", '{"seconds": 86400.5}', "seconds"),
    ("/tasks/long", '{"seconds": false}', "seconds"),
    ("/tasks/process", '{"data": []}', "data"),
    ("/tasks/process", '{"data": [1, null]}', "data"),
    ("/tasks/process", '{"data": 4}', "data"),
    ("/tasks", '{"name": "no.such.task"}', "name"),
    ("/tasks", '{"name": ""}', "name"),
    ("/tasks", '{"args": []}', "name"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1]}', "args"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1, 2, 3]}', "args"),
    ("/tasks", '{"name": "worker.tasks.add", "args": {}}', "args"),
    ("/tasks", '{"name": "worker.tasks.add", "kwargs": []}', "kwargs"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1, 1e999]}', "args"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1, 2], "eta": "soon"}', "eta"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1, 2], "priority": 300}', "priority"),
    ("/tasks", '{"name": "worker.tasks.add", "args": [1, 2], "bogus": 1}', "bogus"),
    ("/tasks/batch", '{"tasks": []}', "tasks"),
    ("/tasks/batch", '{"tasks": [{"name": "worker.tasks.add", "args": [1, "x"]}]}', "args"),
    ("/tasks/batch", '{"tasks": [{"name": "worker.tasks.add", "x": 1}]}', "x"),
]


@pytest.mark.parametrize(("path", "body", "field"), REFUSED)
def test_a_bad_field_is_named(client: httpx.Client, path: str, body: str, field: str) -> None:
    answer = client.post(path, content=body)

    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "instance", "errors"}
    assert problem["instance"] == path
    assert any(field in map(str, error["loc"]) for error in problem["errors"]), problem
    assert all(error["msg"] for error in problem["errors"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000, b'{"x": 1,}'])
@pytest.mark.parametrize("path", ["/tasks/add", "/tasks", "/tasks/batch"])
def test_what_is_no_object_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_key_given_twice_sends_once(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": unique()}
    first = client.post("/tasks/add", json={"x": 1, "y": 2}, headers=headers)
    again = client.post("/tasks/add", json={"x": 1, "y": 2}, headers=headers)
    other = client.post("/tasks/add", json={"x": 1, "y": 3}, headers=headers)

    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert other.status_code == 409


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "tab\there"])
def test_a_key_that_cannot_be_used_is_refused(client: httpx.Client, key: str) -> None:
    answer = client.post("/tasks/add", json={"x": 1, "y": 2}, headers={"Idempotency-Key": key})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


def test_a_batch_is_sent_in_order(client: httpx.Client) -> None:
    tasks = [{"name": "worker.tasks.add", "args": [n, 1]} for n in range(50)]
    answer = client.post("/tasks/batch", json={"tasks": tasks})

    ids = answer.json()["task_ids"]
    assert answer.status_code == 202
    assert len(ids) == 50
    assert [ended(client, task_id)["result"] for task_id in ids] == list(range(1, 51))


def test_a_batch_with_one_bad_task_sends_none(site: Site, client: httpx.Client) -> None:
    mark = unique()
    good = {"name": "worker.tasks.add", "args": [1, 2], "task_id": mark}
    answer = client.post("/tasks/batch", json={"tasks": [good, {"name": "no.such.task"}]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:3] == ["body", "tasks", 1]
    assert client.get(f"/tasks/{mark}").status_code == 404


def test_a_batch_has_a_limit(client: httpx.Client) -> None:
    tasks = [{"name": "worker.tasks.add", "args": [1, 2]}] * 10_001

    assert client.post("/tasks/batch", json={"tasks": tasks}).status_code == 422


def _chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65_536 + 1):
        yield b" " * 65_536


@pytest.mark.parametrize(("path", "limit"), [("/tasks/add", 1 << 20), ("/tasks/batch", 16 << 20)])
def test_a_body_over_its_limit_is_refused(client: httpx.Client, path: str, limit: int) -> None:
    told = client.post(path, content=b" " * (limit + 1))
    untold = client.post(path, content=_chunks(limit))

    for answer in (told, untold):
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert f"{limit:,}" in answer.json()["detail"]


def test_a_body_just_at_its_limit_is_read(client: httpx.Client) -> None:
    body = json.dumps({"x": 1, "y": 2}).ljust(1 << 20)

    assert client.post("/tasks/add", content=body).status_code == 202
