"""Workers, queues, the catalog, figures, health and metrics."""

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support import eventually
from tests.web.conftest import ended, submit


def test_the_worker_is_listed_and_read(client: httpx.Client) -> None:
    listed = client.get("/workers").json()["workers"]
    mine = next(worker for worker in listed if worker["name"] == "w1@test")
    worker = client.get(mine["links"]["self"]).json()

    assert mine["state"] == "ONLINE"
    assert mine["queues"] == ["celery"]
    assert "worker.tasks.add" in [task["name"] for task in worker["tasks"]]


def test_a_queue_tells_its_depth_by_priority(client: httpx.Client) -> None:
    def measured() -> dict[str, Any]:
        # What the worker answered comes before the queue is measured once more.
        found: dict[str, Any] = client.get("/queues/celery").json()
        return found if found["consumers"] else {}

    queue = eventually(measured)
    assert [depth["priority"] for depth in queue["depths"]] == [0, 3, 6, 9]
    assert queue["waiting"] == sum(depth["waiting"] for depth in queue["depths"])
    assert queue["consumers"] == ["w1@test"]
    assert "celery" in [found["name"] for found in client.get("/queues").json()["queues"]]


def test_unknown_workers_and_queues_are_problems(client: httpx.Client) -> None:
    for path in ("/workers/nobody@nowhere", "/queues/none-such"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_catalog_has_schemas(client: httpx.Client) -> None:
    tasks = {task["name"]: task for task in client.get("/catalog").json()["tasks"]}

    add = tasks["worker.tasks.add"]
    assert add["workers"] == ["w1@test"]
    assert add["schema"]["required"] == ["x", "y"]
    assert add["doc"]


def test_the_figures_add_up(client: httpx.Client) -> None:
    ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))

    def counted() -> bool:
        stats = client.get("/stats").json()
        return stats["live"] and stats["tasks"]["SUCCESS"] >= 1 and stats["workers"]["ONLINE"] >= 1

    eventually(counted)
    stats = client.get("/stats").json()
    assert stats["recorder"]["events"] > 0
    assert stats["reason"] is None


def test_a_site_in_order_is_ready(client: httpx.Client) -> None:
    alive, ready = client.get("/healthz"), client.get("/readyz")

    assert alive.json()["status"] == "ok"
    assert ready.status_code == 200
    for part in ("broker", "store", "recorder"):
        assert ready.json()[part]["ok"]
        assert ready.json()[part]["since"]


def test_metrics_are_what_prometheus_reads(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    families = {found.name: found for found in text_string_to_metric_families(answer.text)}

    assert answer.headers["content-type"].startswith("text/plain")
    assert {sample.labels["part"]: sample.value for sample in families["umbel_up"].samples} == {
        "broker": 1,
        "store": 1,
        "recorder": 1,
    }
    for name in ("umbel_tasks", "umbel_workers", "umbel_queue_waiting", "umbel_streams_open"):
        assert families[name].samples, name
    assert "umbel_recorder_lag_seconds" in families
    assert "umbel_recorder_malformed" in families
    labels = {label for family in families.values() for s in family.samples for label in s.labels}
    known = {"part", "state", "queue", "reason", "window", "kind", "cause", "role"}
    assert labels <= known | {"name", "quantile"}
