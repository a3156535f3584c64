"""Saved views: over REST, in the menu of the list, and one that a browser opens first."""

import json
import re

import httpx

from app.store import audit
from app.store.database import Database
from tests.web.conftest import Site, unique

HTML = {"Accept": "text/html"}


def test_a_view_is_saved_read_replaced_and_removed_over_rest(
    client: httpx.Client, site: Site
) -> None:
    name = f"Späte / Mails {unique()}"
    made = client.post("/views", json={"name": name, "q": "name:mail*  state:failure"})
    assert made.status_code == 201, made.text
    place = made.headers["location"]

    assert made.json()["q"] == "state:failure name:mail*"
    assert client.get(place).json() == made.json()
    assert made.json() in client.get("/views").json()["views"]
    assert client.post("/views", json={"name": name}).status_code == 409
    put = client.put(place, json={"sort": "-runtime", "columns": ["ran"]})
    assert put.status_code == 200
    assert (put.json()["q"], put.json()["columns"]) == ("", ["task", "ran"])
    assert client.delete(place).status_code == 204
    assert client.delete(place).status_code == 404
    assert client.get(place).status_code == 404
    assert client.put(place, json={}).status_code == 201
    assert client.delete(place).status_code == 204
    db = Database.open(site.folder / "data")
    done = [
        (one.action, one.outcome)
        for one in audit.entries(db)
        if name in json.loads(one.detail).values()
    ]
    db.close()
    assert ("save view", "done") in done
    assert ("remove view", "done") in done


def test_a_view_that_can_not_be_is_refused_with_its_fields(client: httpx.Client) -> None:
    body = {"name": "x" * 61, "q": "state:faild", "columns": ["colour"], "sort": "up"}
    answer = client.post("/views", json=body)

    assert answer.status_code == 422
    fields = [error["loc"][1] for error in answer.json()["errors"]]
    assert fields == ["name", "q", "sort", "columns"]
    assert client.post("/views", json={"name": "a", "filter": "b"}).status_code == 422


def test_what_a_list_shows_is_saved_from_its_menu_and_opened_first(client: httpx.Client) -> None:
    name = unique()
    shown = client.get("/ui/tasks?q=state:failure&sort=runtime&columns=task,ran").text
    form = shown[(at := shown.index('action="/ui/views"')) : shown.index("</form>", at)]
    given = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    saved = client.post("/ui/views", data={**dict(given), "name": name})
    address = saved.headers["location"]

    assert saved.status_code == 303
    assert address == "/ui/tasks?q=state:failure&sort=runtime&columns=task,ran"
    assert f'aria-current="page">{name}<' in client.get(address).text
    assert client.get("/ui/tasks").status_code == 200
    taken = client.post("/ui/views", data={"name": name}, headers=HTML)
    assert taken.status_code == 409
    assert "already" in taken.text

    first = client.post("/ui/views/first", data={"name": name})
    assert first.headers["location"] == address
    opened = client.get("/ui/tasks")
    assert (opened.status_code, opened.headers["location"]) == (302, address)
    assert client.get("/ui/tasks?q=").status_code == 200, "all tasks can still be seen"
    assert client.post("/ui/views/remove", data={"name": name}).status_code == 303
    assert client.get("/ui/tasks").status_code == 200, "a view that is gone is not opened"
    client.post("/ui/views/first", data={"name": ""})
    assert "umbel_view" not in client.cookies
