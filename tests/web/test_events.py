"""The event streams: complete, resumable, filtered, and over in good time."""

import time

import httpx
import pytest

from tests.support import eventually
from tests.web.conftest import Site, ended, listening, submit, unique

ADD = "worker.tasks.add"


def test_a_stream_begins_with_a_heartbeat_that_has_an_id(site: Site) -> None:
    with listening(site.url + "/events") as stream:
        beat = stream.wait_for(lambda event: True)

        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["cache-control"] == "no-store, no-transform"
        assert beat.name == "heartbeat"
        assert beat.id
        assert beat.data["live"] is True
        assert stream.text.startswith(b"retry: ")


def test_a_task_is_followed_from_submission_to_end(site: Site, client: httpx.Client) -> None:
    with listening(site.url + "/events?types=task") as stream:
        stream.wait_for(lambda event: event.name == "heartbeat")
        task_id = submit(client, "/tasks/long", {"seconds": 0.5})
        last = stream.wait_for(
            lambda event: event.data.get("id") == task_id and event.data["state"] == "SUCCESS"
        )

        assert last.name == "task"
        assert last.data["links"]["self"] == f"/tasks/{task_id}"
        assert client.get(f"/tasks/{task_id}").json()["state"] == "SUCCESS"
        ids = [tuple(map(int, event.id.split("-"))) for event in stream.events if event.id]
        assert ids == sorted(ids)


def test_a_filter_lets_only_its_tasks_through(site: Site, client: httpx.Client) -> None:
    with listening(site.url + "/events?name=worker.tasks.long*&state=SUCCESS") as stream:
        stream.wait_for(lambda event: event.name == "heartbeat")
        submit(client, "/tasks/add", {"x": 1, "y": 1})
        long = submit(client, "/tasks/long", {"seconds": 0.1})
        stream.wait_for(lambda event: event.data.get("id") == long)

        told = {(event.data["name"], event.data["state"]) for event in stream.named("task")}
        assert told == {("worker.tasks.long_task", "SUCCESS")}
        assert {event.name for event in stream.events} == {"task", "heartbeat"}


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_stream_resumes_without_loss_or_repetition(
    site: Site, client: httpx.Client, by: str
) -> None:
    with listening(site.url + "/events") as stream:
        first = stream.wait_for(lambda event: bool(event.id))
        ids = [submit(client, "/tasks/add", {"x": n, "y": 0}) for n in range(10)]
        for task_id in ids:
            ended(client, task_id)
        for task_id in ids:
            stream.wait_for(
                lambda event, wanted=task_id: (
                    event.data.get("id") == wanted  # type: ignore[misc]
                    and event.data["state"] == "SUCCESS"
                )
            )
        seen = [event.id for event in stream.events if event.name != "heartbeat"]
    assert first.id is not None
    headers = {"Last-Event-ID": first.id} if by == "header" else {}
    query = f"?last_event_id={first.id}" if by == "query" else ""
    with listening(site.url + "/events" + query, headers) as again:
        again.wait_for(lambda event: event.id == seen[-1])
        told = [event.id for event in again.events if event.name != "heartbeat"]

        assert told[: len(seen)] == seen
        assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    "given", ["1-1", "99999999999999-0", "nonsense", "-", "1-x", "%D9%A3-%D9%A3"]
)
def test_an_unknown_id_is_answered_by_a_reset(site: Site, given: str) -> None:
    with listening(f"{site.url}/events?last_event_id={given}") as stream:
        first = stream.wait_for(lambda event: True)

        assert first.name == "reset"
        assert first.id


@pytest.mark.parametrize("query", ["types=cats", "state=HAPPY", "since=never"])
def test_a_bad_stream_filter_is_a_problem(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/events?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_one_task_is_followed_to_its_end(site: Site, client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/long", {"seconds": 1})
    with listening(f"{site.url}/tasks/{task_id}/events") as stream:
        assert stream.ended.wait(30)

        tasks = stream.named("task")
        assert {event.data["id"] for event in tasks} == {task_id}
        assert tasks[-1].data["state"] == "SUCCESS"
        assert len(tasks) > 1


def test_following_an_ended_task_tells_its_state_and_ends(site: Site, client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, task_id)
    with listening(f"{site.url}/tasks/{task_id}/events") as stream:
        assert stream.ended.wait(30)

        assert [event.data["state"] for event in stream.named("task")] == ["SUCCESS"]


def test_a_reader_that_leaves_is_forgotten(site: Site, client: httpx.Client) -> None:
    def open_streams() -> int:
        return int(client.get("/stats").json()["streams_open"])

    before = open_streams()
    with listening(site.url + "/events"), listening(site.url + "/events"):
        eventually(lambda: open_streams() == before + 2)
    eventually(lambda: open_streams() == before)


def test_head_of_a_stream_ends_at_once(site: Site, client: httpx.Client) -> None:
    task_id = submit(client, "/tasks/long", {"seconds": 1})
    for path in ("/events", f"/tasks/{task_id}/events"):
        answer = client.head(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_heartbeat_comes_also_where_nothing_passes_the_filter(site: Site) -> None:
    with listening(f"{site.url}/events?name={unique()}") as stream:
        begun = time.monotonic()
        eventually(lambda: len(stream.named("heartbeat")) >= 2)

        assert time.monotonic() - begun < 15
