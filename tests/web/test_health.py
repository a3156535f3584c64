"""Ready means that events flow: what answers 503, and what is only a word of warning."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from app.feed.lease import LEASE_KEY
from app.feed.status import RecorderStatus
from app.web.health import LATE_SECONDS, warnings_of
from tests.http import web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site

WELL = {"recorder": "r", "at": 2.0, "started_at": 1.0, "live": True, "since": 1.0}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site of the test's own, which it may break."""
    server = RedisServer(tmp_path / "redis").start()
    found = Site(server, tmp_path).start()
    eventually(found.ready)
    yield found
    found.stop()
    server.stop()


def recorder_of(site: Site) -> psutil.Process:
    """The recorder that `umbel serve` started."""
    assert site.process is not None

    def found() -> psutil.Process | None:
        children = psutil.Process(site.process.pid).children(recursive=True)
        return next((child for child in children if "record" in " ".join(child.cmdline())), None)

    return eventually(found)


@contextmanager
def nobody_records(site: Site) -> Iterator[None]:
    """The recorder is killed, and the one that is started instead must stand by for the block."""
    with redis.Redis.from_url(site.redis.url) as client:
        client.set(LEASE_KEY, "somebody:else", ex=600)
        with suppress(psutil.NoSuchProcess):  # it may have given up by itself
            recorder_of(site).kill()
        yield
        client.delete(LEASE_KEY)


def test_nothing_is_ready_while_nobody_records(own: Site) -> None:
    def refused() -> dict[str, Any] | None:
        answer = web.get(own.url + "/readyz")
        return answer.json() | {"after": answer.headers["retry-after"]} if answer.is_error else None

    with nobody_records(own):
        told = eventually(refused)

    assert not told["recorder"]["ok"]
    assert told["broker"]["ok"]
    assert told["store"]["ok"]
    assert "recorder" in told["detail"]
    assert int(told["after"]) >= 1
    eventually(own.ready)
    assert web.get(own.url + "/readyz").json()["status"] == "ready"


def test_a_recorder_in_order_needs_no_warning() -> None:
    assert warnings_of(RecorderStatus(**WELL)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lag": LATE_SECONDS + 1}, "11 s late"),
        ({"stream_lag": 61.0}, "61 s late"),
        ({"healing": True}, "being made good"),
        ({"unchecked": 3, "unchecked_reason": "no result backend"}, "3 open .*: no result backend"),
    ],
)
def test_what_is_late_or_made_good_is_a_warning(changes: dict[str, Any], said: str) -> None:
    [warning] = warnings_of(RecorderStatus(**{**WELL, **changes}))

    assert re.search(said, warning)
