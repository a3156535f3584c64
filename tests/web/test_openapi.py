"""The API's own description: complete, and true of what is answered."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from app.main import create_app
from app.settings import Settings
from tests.web.conftest import ended, submit

CONTRACT = {
    ("post", "/tasks/add"),
    ("post", "/tasks/long"),
    ("post", "/tasks/process"),
    ("post", "/tasks"),
    ("post", "/tasks/batch"),
    ("get", "/tasks/{task_id}"),
    ("delete", "/tasks/{task_id}"),
    ("post", "/tasks/{task_id}/retry"),
    ("get", "/tasks"),
    ("get", "/tasks/export"),
    ("get", "/views"),
    ("post", "/views"),
    ("get", "/views/{name}"),
    ("put", "/views/{name}"),
    ("delete", "/views/{name}"),
    ("get", "/events"),
    ("get", "/tasks/{task_id}/events"),
    ("get", "/workers"),
    ("get", "/workers/{name}"),
    ("get", "/queues"),
    ("get", "/queues/{name}"),
    ("get", "/catalog"),
    ("get", "/stats"),
    ("post", "/markers"),
    ("get", "/markers"),
    ("delete", "/markers/{marker_id}"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(Settings(broker_url="redis://127.0.0.1:6379/0"))
    found: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return found


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    assert set(_operations(document)) == CONTRACT


def test_every_operation_says_what_it_takes_and_gives(document: dict[str, Any]) -> None:
    operations = _operations(document)
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        assert operation["description"], path
        answers = operation["responses"]
        usual = [answer for status, answer in answers.items() if status.startswith("2")]
        assert usual, path
        told = {status for status, answer in answers.items() if answer.get("content")}
        assert told == set(answers) - {"204"}, path  # "No Content" has none
        for status in (status for status in answers if status >= "4"):
            assert list(answers[status]["content"]) == ["application/problem+json"], path
        if method == "post":
            assert "$ref" in operation["requestBody"]["content"]["application/json"]["schema"]
        for part in (name for name in path.split("/") if name.startswith("{")):
            assert part[1:-1] in [given["name"] for given in operation["parameters"]], path
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    wanted = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert wanted <= set(document["components"]["schemas"])


def test_answers_are_as_described(client: httpx.Client, document: dict[str, Any]) -> None:
    task_id = submit(client, "/tasks/add", {"x": 1, "y": 2})
    ended(client, task_id)
    marker = client.post("/markers", json={"title": "Deployed", "version": "2.1"})
    seen = [
        ("/tasks/{task_id}", client.get(f"/tasks/{task_id}")),
        ("/tasks", client.get("/tasks")),
        ("/workers", client.get("/workers")),
        ("/workers/{name}", client.get("/workers/w1@test")),
        ("/queues", client.get("/queues")),
        ("/queues/{name}", client.get("/queues/celery")),
        ("/catalog", client.get("/catalog")),
        ("/stats", client.get("/stats")),
        ("/markers", marker),
        ("/markers", client.get("/markers")),
        ("/healthz", client.get("/healthz")),
        ("/readyz", client.get("/readyz")),
    ]
    client.delete(f"/markers/{marker.json()['id']}")
    for path, answer in seen:
        operation = document["paths"][path][answer.request.method.lower()]
        described = operation["responses"][str(answer.status_code)]["content"]
        schema = {**described["application/json"]["schema"], "components": document["components"]}
        jsonschema_rs.validator_for(_closed(schema)).validate(answer.json())


def _closed(schema: Any) -> Any:
    """The schema with no room for fields that it does not mention."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(part) for name, part in schema.items()}
    if isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


def test_the_documentation_page_needs_nobody_else(client: httpx.Client) -> None:
    page = client.get("/docs")

    assert page.status_code == 200
    assert "//" not in page.text
    assert "<script>" not in page.text
    for asset in (part.split('"')[0] for part in page.text.split('src="')[1:]):
        assert client.get(asset).status_code == 200
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")


def test_the_documentation_names_every_call() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()

    for method, path in CONTRACT:
        name = path.replace("{task_id}", "{id}").replace("{marker_id}", "{id}")
        assert f"`{method.upper()} {name}" in text or f"`{name}`" in text, (method, path)
