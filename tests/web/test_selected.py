"""Several tasks at once: asked first, done one by one, and told what came of each."""

import re

import httpx

from tests.support import eventually
from tests.web.conftest import ended, submit

HTML = {"Accept": "text/html"}


def test_several_tasks_are_run_again_once_with_an_outcome_for_each(client: httpx.Client) -> None:
    some = [submit(client, "/tasks/add", {"x": n, "y": n}) for n in range(2)]
    for one in some:
        ended(client, one)
    waits = submit(client, "/tasks", {"name": "worker.tasks.add", "args": [1, 1], "countdown": 600})
    eventually(lambda: client.get(f"/tasks/{waits}").status_code == 200)
    choice = {"act": "retry", "id": [*some, waits, "never"]}
    eventually(lambda: "It has not ended yet." in client.get("/ui/selected", params=choice).text)
    asked = client.get("/ui/selected", params=choice)

    assert "Run 2 tasks again?" in asked.text
    assert "Nothing is known of this task now." in asked.text
    form = re.findall(r'type="hidden" name="(act|key|id)" value="([^"]*)"', asked.text)
    assert [value for name, value in form if name == "id"] == some
    given = {"act": "retry", "key": dict(form)["key"], "id": some}
    done = client.post("/ui/selected", data=given)
    new = re.findall(r'href="/ui/tasks/([\w-]+)">The new task', done.text)
    assert "2 tasks run again" in done.text
    eventually(lambda: [client.get(f"/tasks/{one}").json()["retry_of"] for one in new] == some)
    again = client.post("/ui/selected", data=given)
    assert re.findall(r'href="/ui/tasks/([\w-]+)">The new task', again.text) == new


def test_several_tasks_are_revoked(client: httpx.Client) -> None:
    call = {"name": "worker.tasks.add", "args": [1, 1], "countdown": 600}
    some = [submit(client, "/tasks", call) for _ in range(2)]
    over = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, over)
    eventually(lambda: all(client.get(f"/tasks/{one}").status_code == 200 for one in some))
    done = client.post("/ui/selected", data={"act": "revoke", "id": [*some, over]})

    assert "The revoke of 2 tasks is requested" in done.text
    assert "It has ended: Success." in done.text
    for one in some:
        assert client.get(f"/tasks/{one}").json()["requests"][0]["action"] == "revoke"


def test_what_can_not_be_done_to_several_is_refused(client: httpx.Client) -> None:
    assert client.get("/ui/selected?act=destroy&id=a", headers=HTML).status_code == 422
    nothing = client.get("/ui/selected?act=revoke", headers=HTML)
    assert nothing.status_code == 422
    assert "Tick the tasks first" in nothing.text
    many = "&".join(f"id={n}" for n in range(51))
    assert client.get(f"/ui/selected?act=revoke&{many}").status_code == 422
