"""What goes wrong, as people and programs read it."""

import httpx
import pytest

from app.domain.errors import (
    BrokerUnavailable,
    Conflict,
    StoreUnavailable,
    TooMany,
    UnknownTaskName,
)
from app.main import create_app
from app.settings import Settings
from app.web.errors import describe, status_of


async def test_an_error_of_our_own_is_a_problem_without_its_secrets() -> None:
    app = create_app(Settings(broker_url="redis://127.0.0.1:6379/0"))

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError("secret")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/boom")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "content-security-policy" in answer.headers
    assert "secret" not in answer.text


async def test_so_is_one_before_the_framework_s_layers() -> None:
    app = create_app(Settings(broker_url="redis://127.0.0.1:6379/0"))
    app.state.umbel = None  # nothing was wired
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/tasks/add", json={"x": 1, "y": 2})

    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("Umbel made a mistake")
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownTaskName("no"), 422),
        (Conflict("no"), 409),
        (BrokerUnavailable("no"), 503),
        (StoreUnavailable("no"), 503),
        (TooMany("no"), 503),
    ],
)
def test_a_status_is_found_by_the_nearest_class(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_what_is_away_says_when_to_ask_again() -> None:
    problem, headers = describe("/tasks", BrokerUnavailable("Redis does not answer."))

    assert problem.detail == "Redis does not answer."
    assert headers == {"Retry-After": "2"}


def test_unknown_routes_and_methods_are_problems(client: httpx.Client) -> None:
    for method, path, status in (
        ("GET", "/no/such", 404),
        ("GET", "/tasks/", 404),
        ("PUT", "/tasks/add", 405),
        ("POST", "/workers", 405),
        ("PATCH", "/events", 405),
    ):
        answer = client.request(method, path)
        problem = answer.json()

        assert answer.status_code == problem["status"] == status, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["instance"] == path
        assert problem["detail"]
        assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize("path", ["/tasks", "/healthz", "/workers", "/openapi.json", "/docs"])
def test_head_answers_as_get_without_a_body(client: httpx.Client, path: str) -> None:
    answer = client.head(path)

    assert answer.status_code == 200
    assert answer.content == b""
