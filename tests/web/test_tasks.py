"""Reading, listing, waiting for, revoking and repeating tasks."""

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest

from app.domain.search import MAX_SEARCH
from tests.support import eventually
from tests.web.conftest import ended, submit, unique

ADD = "worker.tasks.add"


def _send(client: httpx.Client, count: int, queue: str) -> list[str]:
    """Tasks on a queue that no worker reads, so that they stay PENDING."""
    tasks = [{"name": ADD, "args": [n, n], "queue": queue} for n in range(count)]
    ids = client.post("/tasks/batch", json={"tasks": tasks}).json()["task_ids"]

    def all_known() -> bool:
        found = client.get("/tasks", params={"queue": queue, "limit": 500}).json()["tasks"]
        return len(found) == count

    eventually(all_known)
    return list(ids)


def test_a_task_tells_its_story(client: httpx.Client) -> None:
    task = ended(client, submit(client, "/tasks/add", {"x": 1, "y": 2}))

    states = [step["state"] for step in task["transitions"]]
    assert states[0] == "PENDING"
    assert states[-1] == "SUCCESS"
    assert task["name"] == ADD
    assert task["worker"] == "w1@test"
    assert task["queue"] == "celery"
    assert task["wait_seconds"] >= 0
    assert task["runtime_seconds"] >= 0
    assert task["links"]["self"] == f"/tasks/{task['id']}"


@pytest.mark.parametrize("task_id", ["nobody", "x" * 2000, "%00", "a%2Fb", "%F0%9F%8C%B1"])
def test_a_task_never_heard_of_is_a_problem(client: httpx.Client, task_id: str) -> None:
    for answer in (
        client.get(f"/tasks/{task_id}"),
        client.get(f"/tasks/{task_id}", params={"wait": 1}),
        client.get(f"/tasks/{task_id}/events"),
        client.delete(f"/tasks/{task_id}"),
        client.post(f"/tasks/{task_id}/retry"),
    ):
        assert answer.status_code == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", "1e9"])
def test_a_wait_out_of_bounds_is_refused(client: httpx.Client, wait: str) -> None:
    answer = client.get("/tasks/nobody", params={"wait": wait})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "wait"]


def test_waiting_ends_when_the_task_does(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/long", {"seconds": 1})
    begun = time.monotonic()
    task = client.get(f"/tasks/{task_id}", params={"wait": 30}).json()

    assert task["state"] == "SUCCESS"
    assert time.monotonic() - begun < 30


def test_waiting_ends_in_time_where_the_task_does_not(client: httpx.Client) -> None:
    (task_id,) = _send(client, 1, unique())
    task = client.get(f"/tasks/{task_id}", params={"wait": 0.3}).json()

    assert task["state"] == "PENDING"


def test_many_wait_at_once(client: httpx.Client) -> None:
    ids = [submit(client, "/tasks/long", {"seconds": 0.5}) for _ in range(4)] * 25

    def wait(task_id: str) -> str:
        return str(client.get(f"/tasks/{task_id}", params={"wait": 30}).json()["state"])

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(wait, ids)) == {"SUCCESS"}


def test_pages_follow_each_other_without_gap_or_overlap(client: httpx.Client) -> None:
    queue = unique()
    ids = _send(client, 25, queue)
    found: list[str] = []
    path = f"/tasks?queue={queue}&limit=10"
    pages = 0
    while path:
        answer = client.get(path)
        body = answer.json()
        found += [task["id"] for task in body["tasks"]]
        following = answer.links.get("next", {}).get("url", "")
        assert bool(following) == (body["next"] is not None)
        assert not following or f"cursor={quote(body['next'])}" in following
        path, pages = following, pages + 1

    assert pages == 3
    assert sorted(found) == sorted(ids)


def test_a_list_carries_summaries(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": 7, "y": 8})
    whole = ended(client, task_id)
    listed = client.get("/tasks", params={"q": task_id}).json()["tasks"]

    assert [task["id"] for task in listed] == [task_id]
    assert set(whole) - set(listed[0]) == {"traceback", "transitions", "retried_as", "requests"}
    assert {name: whole[name] for name in listed[0]} == listed[0]


def test_filters_hold_together(client: httpx.Client) -> None:
    queue = unique()
    _send(client, 3, queue)
    done = ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))

    def ids(**query: object) -> set[str]:
        found = client.get("/tasks", params={"limit": 500, **query}).json()["tasks"]  # type: ignore[arg-type]
        return {task["id"] for task in found}

    assert len(ids(queue=queue, state="PENDING")) == 3
    assert ids(queue=queue, state="SUCCESS") == set()
    assert len(ids(queue=[queue, "no-such"], state=["PENDING", "STARTED"])) == 3
    assert ids(queue=queue, until="1h") == set()
    assert done["id"] in ids(worker="w1@test", name="worker.*", since="5m")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=HAPPY", "state"),
        ("since=yesterday-ish", "since"),
        ("until=99999999999999", "until"),
        ("sort=size", "sort"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("cursor=nonsense!", "cursor"),
        ("q=" + "x" * (MAX_SEARCH + 1), "q"),
    ],
)
def test_a_bad_filter_is_named(client: httpx.Client, query: str, field: str) -> None:
    answer = client.get(f"/tasks?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:2] == ["query", field]


def test_a_waiting_task_is_revoked(client: httpx.Client) -> None:
    body = {"name": ADD, "args": [1, 1], "countdown": 1}
    task_id = submit(client, "/tasks", body)
    answer = client.delete(f"/tasks/{task_id}")

    assert answer.status_code == 202
    assert answer.json()["task_id"] == task_id
    assert answer.json()["requested"] == "revoke"
    assert answer.json()["heard"] == 1
    task = ended(client, task_id)
    assert task["state"] == "REVOKED"
    assert [request["action"] for request in task["requests"]] == ["revoke"]


def test_a_running_task_is_terminated(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/long", {"seconds": 60})
    eventually(lambda: client.get(f"/tasks/{task_id}").json()["started_at"])
    answer = client.delete(f"/tasks/{task_id}", params={"terminate": "true", "signal": "SIGKILL"})

    assert answer.status_code == 202
    assert ended(client, task_id)["state"] == "REVOKED"


def test_an_ended_task_cannot_be_revoked(client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, task_id)

    assert client.delete(f"/tasks/{task_id}").status_code == 409


def test_a_signal_that_is_none_is_refused(client: httpx.Client) -> None:
    (task_id,) = _send(client, 1, unique())
    answer = client.delete(f"/tasks/{task_id}", params={"terminate": "true", "signal": "SIGNONE"})

    assert answer.status_code == 422


def test_a_task_is_run_again(client: httpx.Client) -> None:
    first = submit(client, "/tasks/add", {"x": 2**70, "y": 1})
    ended(client, first)
    answer = client.post(f"/tasks/{first}/retry")

    second = answer.json()["task_id"]
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/tasks/{second}"
    task = ended(client, second)
    assert (task["retry_of"], task["result"]) == (first, 2**70 + 1)
    assert client.get(f"/tasks/{first}").json()["retried_as"] == [second]


def test_a_task_is_run_again_with_other_arguments(client: httpx.Client) -> None:
    first = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, first)
    answer = client.post(f"/tasks/{first}/retry", json={"args": [20, 22]})

    assert ended(client, answer.json()["task_id"])["result"] == 42


@pytest.mark.parametrize("body", ['{"args": {}}', '{"args": [1, "x"]}', '{"what": 1}', "["])
def test_a_bad_retry_sends_nothing(client: httpx.Client, body: str) -> None:
    first = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, first)

    assert client.post(f"/tasks/{first}/retry", content=body).status_code == 422
    assert client.get(f"/tasks/{first}").json()["retried_as"] == []


def test_a_list_says_how_many_match_where_asked(client: httpx.Client) -> None:
    queue = unique()
    _send(client, 3, queue)

    asked = client.get("/tasks", params={"queue": queue, "limit": 2, "count": True}).json()
    assert asked["total"] == {"count": 3, "exact": True}
    assert len(asked["tasks"]) == 2
    assert "total" not in client.get("/tasks", params={"queue": queue}).json()
    shown = client.get("/ui/tasks", params={"queue": queue, "state": "PENDING"})
    assert "3 tasks match" in shown.text
    assert client.get("/tasks", params={"count": "some"}).status_code == 422
