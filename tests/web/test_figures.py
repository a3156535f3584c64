"""Figures over REST and for Prometheus are what the tasks themselves say."""

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.domain.sketch import ACCURACY
from tests.support import eventually
from tests.web.conftest import ended, submit

MANY = 12


def figures(client: httpx.Client, **asked: str | int) -> dict[str, Any]:
    answer = client.get("/stats", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["figures"]
    return found


@pytest.fixture
def tasks(client: httpx.Client) -> list[dict[str, Any]]:
    """Some tasks that have just ended, as `GET /tasks/{id}` tells of them."""
    ids = [submit(client, "/tasks/add", {"x": number, "y": 1}) for number in range(MANY)]
    return [ended(client, each) for each in ids]


def test_figures_are_what_the_task_list_says(
    client: httpx.Client, tasks: list[dict[str, Any]]
) -> None:
    name = tasks[0]["name"]

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/tasks", params={"limit": 500}).json()["tasks"]
        return [task for task in found if task["name"] == name and task["state"] == "SUCCESS"]

    def same() -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        every = listed()
        labels = figures(client, since="6h", by="name")["labels"]
        [found] = [each for each in labels if each["label"] == name]
        return (found, every) if found["run"]["count"] == len(every) >= MANY else None

    found, every = eventually(same)
    runtimes = sorted(task["runtime_seconds"] for task in every)
    exact = [runtimes[int(part * (len(runtimes) - 1))] for part in (0.5, 0.95, 0.99, 1)]
    told = [found["run"][key] for key in ("p50", "p95", "p99", "max")]
    assert told == pytest.approx([max(each, 0.0001) for each in exact], rel=2 * ACCURACY)
    assert found["states"]["SUCCESS"] == len(every)
    assert found["failure_rate"] == round(found["failed"] / found["ended"], 6)


def test_the_series_adds_up_to_the_total(client: httpx.Client, tasks: list[dict[str, Any]]) -> None:
    for step in (60, 300, 3_600, 86_400):
        found = figures(client, since="2h", step=step, by="worker", label=tasks[0]["worker"])
        assert found["labels"] is None
        assert sum(point["ended"] for point in found["series"]) == found["total"]["ended"] >= MANY


def test_figures_are_told_only_where_they_are_asked_for(client: httpx.Client) -> None:
    assert client.get("/stats").json()["figures"] is None
    assert figures(client, since="15m")["step"] == 60
    assert figures(client, since="7d")["step"] == 3_600


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"step": "90"}, "step"),
        ({"step": "soon"}, "step"),
        ({"since": "3d", "step": "60"}, "step"),
        ({"since": "1h", "until": "2h"}, "until"),
        ({"since": "yesterday"}, "since"),
        ({"by": "state"}, "by"),
        ({"label": "add"}, "label"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(
    client: httpx.Client, asked: dict[str, str], field: str
) -> None:
    answer = client.get("/stats", params=asked)
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [["query", field]]


def test_prometheus_reads_how_long_tasks_took(
    client: httpx.Client, tasks: list[dict[str, Any]]
) -> None:
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {"umbel_ended_5m", "umbel_run_seconds_5m", "umbel_wait_seconds_5m"} <= families.keys()


@pytest.mark.parametrize("wanted", ["15m", "1h", "6h", "24h", "7d", "30d"])
@pytest.mark.parametrize("by", ["name", "queue", "worker"])
def test_the_first_page_shows_every_range(client: httpx.Client, wanted: str, by: str) -> None:
    answer = client.get("/", params={"range": wanted, "by": by})
    assert answer.status_code == 200
    assert 'id="ended"' in answer.text
    assert f"overview?range={wanted}&amp;by={by}" in answer.text or (wanted, by) == ("1h", "name")


def test_the_first_page_refuses_what_it_has_not(client: httpx.Client) -> None:
    assert client.get("/", params={"range": "2h"}).status_code == 422


@pytest.mark.parametrize("sort", ["ended", "failed", "rate", "wait", "run"])
def test_the_table_is_sorted_as_its_address_says(client: httpx.Client, sort: str) -> None:
    answer = client.get("/", params={"range": "15m", "by": "queue", "sort": sort})
    assert answer.status_code == 200
    assert client.get("/", params={"sort": "name"}).status_code == 422


def test_every_step_of_a_chart_stands_in_a_table(
    client: httpx.Client, tasks: list[dict[str, Any]]
) -> None:
    answer = client.get("/ui/figures", params={"range": "15m"})
    assert answer.status_code == 200
    assert answer.text.count('<tr><th scope="row">') == 15
    assert "/ui/tasks?ended=" in answer.text
    assert client.get("/ui/figures", params={"range": "2h"}).status_code == 422
