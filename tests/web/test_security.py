"""Who is answered, what every answer carries, and what a browser may be talked into."""

from dataclasses import replace

import httpx
import pytest

from app.domain.errors import BadSetting
from app.settings import Settings, check_openness
from app.web.security import Gate, known_names
from tests.web.conftest import Site

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


@pytest.mark.parametrize("path", ["/healthz", "/tasks", "/nothing", "/", "/openapi.json"])
def test_every_answer_has_the_strict_policy(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "",
        "169.254.1.1",
        "[::1].evil.example",
        "127.0.0.1:8000@evil.example",
    ],
)
def test_a_foreign_host_name_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/tasks", headers={"Host": host})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "UMBEL_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_loopback_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_addresses_are_names_where_others_can_reach_us() -> None:
    gate = Gate(_nothing, known_names("0.0.0.0", ["umbel.example:8000"]), addresses=True)

    assert gate.allows(b"192.168.1.5:8000")
    assert gate.allows(b"[fe80::1]:8000")
    assert gate.allows(b"umbel.example")
    assert not gate.allows(b"evil.example")
    assert Gate(_nothing, ["*"]).allows(b"any.example")


REFUSED = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
]
ALLOWED = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "{own}"},
]


def _headers(site: Site, given: dict[str, str]) -> dict[str, str]:
    return {name: value.replace("{own}", site.url) for name, value in given.items()}


@pytest.mark.parametrize("given", REFUSED)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/tasks/add"), ("POST", "/tasks/batch"), ("DELETE", "/tasks/x"), ("PUT", "/x")],
)
def test_another_sites_page_can_do_nothing(
    site: Site, client: httpx.Client, given: dict[str, str], method: str, path: str
) -> None:
    answer = client.request(method, path, json={"x": 1, "y": 1}, headers=_headers(site, given))

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("given", ALLOWED)
def test_our_own_pages_and_programs_may_submit(
    site: Site, client: httpx.Client, given: dict[str, str]
) -> None:
    answer = client.post("/tasks/add", json={"x": 1, "y": 1}, headers=_headers(site, given))

    assert answer.status_code == 202


def test_another_sites_page_may_follow_a_link(client: httpx.Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert client.get("/", headers=headers).status_code == 200


def test_no_answer_allows_another_origin(client: httpx.Client) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/tasks/add", headers=headers)

    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "umbel.example", "::"])
def test_being_open_to_others_has_to_be_asked_for(host: str) -> None:
    settings = Settings(broker_url="redis://127.0.0.1:6379/0", host=host)

    with pytest.raises(BadSetting, match="UMBEL_ALLOW_OPEN"):
        check_openness(settings)
    check_openness(replace(settings, allow_open=True))


async def _nothing(*_: object) -> None:
    return None
