"""A revoke that nobody heard holds for workers that start later."""

from pathlib import Path

import pytest
import redis

from tests.plugin.support import events, sending, start_plugin_worker
from tests.stock.install import INSTALLED
from tests.support import eventually

ENTRY = '{"at": 1.0, "terminate": false, "signal": null, "queue": null, "by": "somebody"}'


@pytest.mark.parametrize(
    ("version", "pool"), [(INSTALLED, "prefork"), (INSTALLED, "gevent"), ("5.4", "prefork")]
)
def test_a_task_in_the_ledger_is_revoked_not_run(
    version: str, pool: str, redis_url: str, tmp_path: Path
) -> None:
    with sending(redis_url) as app, redis.Redis.from_url(redis_url) as client:
        revoked = app.send_task("any.add", (1,))
        client.hset("umbel:revokes", revoked.id, ENTRY)
        client.hset("umbel:revokes", mapping={f"other-{n}": ENTRY for n in range(3_000)})
        wanted = app.send_task("any.add", (2,))
        log = tmp_path / "log"
        worker = start_plugin_worker(redis_url, log, "-P", pool, "-c", "2", version=version)
        try:
            assert wanted.get(timeout=30) == 2
            eventually(lambda: revoked.state == "REVOKED")
            eventually(lambda: events(redis_url, "task-revoked"))
        finally:
            worker.stop()
    assert [event["uuid"] for event in events(redis_url, "task-revoked")] == [revoked.id]
    assert {event["uuid"] for event in events(redis_url, "task-started")} == {wanted.id}


def test_a_ledger_that_cannot_be_read_keeps_no_worker_from_starting(
    redis_url: str, tmp_path: Path
) -> None:
    with sending(redis_url) as app, redis.Redis.from_url(redis_url) as client:
        client.set("umbel:revokes", "not a hash")
        worker = start_plugin_worker(redis_url, tmp_path / "log")
        try:
            assert app.send_task("any.add", (2,)).get(timeout=30) == 2
        finally:
            worker.stop()
        assert "The ledger of revokes could not be read" in worker.output()
