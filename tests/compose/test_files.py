"""What compose.yaml and the Dockerfiles promise, read from the files; `run` proves the rest."""

from typing import Any

import pytest
import yaml

from tests.support import ROOT
from worker.settings import SOFT_SHUTDOWN

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = {"Dockerfile.api": "worker", "Dockerfile.worker": "app"}
"""Each with the package that it must not hold."""


def test_the_services_are_those_that_are_documented() -> None:
    assert {"redis", "postgres", "api", "worker", "app"} <= set(SERVICES)


def test_nothing_is_used_that_compose_1_29_does_not_know() -> None:
    own = {key for key in COMPOSE if not key.startswith("x-")}
    assert own <= {"services", "volumes", "networks"}
    assert not any("develop" in service for service in SERVICES.values())


def test_everything_is_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_all_but_the_demonstration_are_restarted() -> None:
    policies = {name: service["restart"] for name, service in SERVICES.items()}
    assert policies.pop("app") == "no"
    assert set(policies.values()) == {"unless-stopped"}
    assert SERVICES["app"]["profiles"] == ["demo"]


def test_each_service_says_whether_it_is_well() -> None:
    for service in SERVICES.values():
        if "healthcheck" not in service:
            dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
            assert "\nHEALTHCHECK " in dockerfile


def test_workers_can_be_many() -> None:
    assert not {"container_name", "hostname", "ports"} & set(SERVICES["worker"])


def test_a_worker_is_given_the_time_that_its_soft_shutdown_takes() -> None:
    grace = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > 2 * SOFT_SHUTDOWN


def test_the_history_is_in_a_postgres_that_only_the_services_reach() -> None:
    postgres, api = SERVICES["postgres"], SERVICES["api"]
    assert "ports" not in postgres
    url = api["environment"]["UMBEL_DATABASE_URL"]
    password = postgres["environment"]["POSTGRES_PASSWORD"]
    assert url == f"postgresql://umbel:{password}@postgres:5432/umbel"
    assert password.startswith("${UMBEL_DATABASE_PASSWORD:-")
    assert api["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_what_is_kept_is_on_volumes() -> None:
    for name in ("redis", "postgres", "api"):
        volume = SERVICES[name]["volumes"][0].split(":")[0]
        assert volume in COMPOSE["volumes"]
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_locked_small_and_without_root(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM python:3.12-slim AS build",
        "FROM python:3.12-slim",
    ]
    assert not lines[0].startswith("# syntax"), "would need a registry to be built"
    assert "USER umbel" in lines
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert "pip uninstall -y" in "".join(lines)


@pytest.mark.parametrize(("name", "foreign"), IMAGES.items())
def test_an_image_does_not_hold_the_others_code(name: str, foreign: str) -> None:
    copied = [
        line.split()[1:-1] for line in (ROOT / name).read_text().splitlines() if "COPY" in line
    ]
    assert copied
    assert foreign not in [source for sources in copied for source in sources]
    assert "." not in [source for sources in copied for source in sources]


def test_the_build_sees_only_what_it_may_copy() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert not {"!.env", "!.git", "!tests", "!docs"} & set(lines)
