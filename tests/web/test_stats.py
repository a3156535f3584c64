"""Figures of how much is known: replicas, blind windows and how they healed, whole stories."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http import new_client
from tests.support import RedisServer, eventually
from tests.web.conftest import Site, ended, submit


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Site]:
    """A site that was away for a moment: nobody listened."""
    server = RedisServer(tmp_path / "redis").start()
    site = Site(server, tmp_path).start()
    eventually(site.ready)
    site.stop()
    site.start()
    eventually(site.ready)
    yield site
    site.stop()
    server.stop()


def stats(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/stats")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_time_without_a_recorder_is_told_with_how_it_healed(restarted: Site) -> None:
    with new_client(base_url=restarted.url) as client:

        def healed() -> dict[str, Any] | None:
            windows = stats(client)["blind_windows"]
            return windows[0] if windows and windows[0]["healed_at"] else None

        window = eventually(healed)
        metrics = client.get("/metrics").text

    assert window["cause"] == "started"
    assert window["began_at"] < window["ended_at"] <= window["healed_at"]
    assert window["seconds"] > 0
    assert window["source"] == "events"
    assert 'umbel_blind_windows{cause="started"} 1.0' in metrics
    assert 'umbel_blind_windows_unhealed{cause="started"} 0.0' in metrics


def test_whole_stories_are_counted(client: httpx.Client) -> None:
    task = ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))

    def counted() -> dict[str, Any] | None:
        found: dict[str, Any] = stats(client)["stories"]
        return found if found["whole"] else None

    day = eventually(counted)
    hour = stats(client)["stories_of_last_hour"]

    assert day["since"] < hour["since"] < task["finished_at"]
    assert 0 < day["whole"] <= day["ended"]
    assert day["share"] == round(day["whole"] / day["ended"], 4)
    # Both are read anew now and then, and not in the same moment.
    eventually(lambda: hour["ended"] <= stats(client)["stories"]["ended"])


def test_every_process_says_that_it_is_there_and_one_leads(client: httpx.Client) -> None:
    def both() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = stats(client)["replicas"]
        return found if len(found) == 2 else None

    replicas = eventually(both)

    assert [replica["role"] for replica in replicas if replica["leads"]] == ["recorder"]
    assert {replica["role"] for replica in replicas} == {"recorder", "web"}
    assert eventually(lambda: stats(client)["recorder"]["token"]) >= 1


def test_prometheus_reads_how_well_all_is_known(client: httpx.Client) -> None:
    ended(client, submit(client, "/tasks/add", {"x": 1, "y": 1}))

    def found() -> dict[str, Any] | None:
        text = client.get("/metrics").text
        families = {each.name: each for each in text_string_to_metric_families(text)}
        leads = families["umbel_leader"].samples[0].value == 1
        return families if leads and families["umbel_stories_whole_ratio"].samples else None

    families = eventually(found)

    for name in (
        "umbel_blind_windows",
        "umbel_blind_windows_unhealed",
        "umbel_stories",
        "umbel_stream_lag_seconds",
        "umbel_producers",
        "umbel_producers_dropped",
        "umbel_recorder_lost",
        "umbel_recorder_dropped",
        "umbel_recorder_healing",
        "umbel_recorder_unchecked",
        "umbel_recorder_token",
    ):
        assert name in families, name
    roles = {each.labels["role"]: each.value for each in families["umbel_replicas"].samples}
    assert roles == {"web": 1, "recorder": 1}
