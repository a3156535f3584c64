"""Fixtures for every layer: a real Redis for the run, real workers where a test asks for them."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from tests.postgres import PostgresServer
from tests.support import Process, RedisServer, start_worker

# How long an example takes tells of the machine.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

LONGEST = (
    "browser",
    "cli/test_up.py",
    "chaos/test_short.py",
    "recorder/test_durable_crash.py",
    "recorder/test_reconcile.py",
    "project/test_checks.py",
    "recorder/test_replicas_serving.py",
    "web/test_postgres.py",
    "broker/test_hearing_stock.py",
    "recorder/test_revokes.py",
    "recorder/test_real_workers.py",
    "worker/test_reconnect.py",
    "recorder/test_replicas.py",
    "web/test_server.py",
    "plugin/test_workers.py",
    "recorder/test_reconcile_windows.py",
    "store/test_server_away.py",
    "recorder/test_recorder.py",
)
"""Modules whose tests take long each and mostly wait: they begin first, each for itself, so that
all processors have work until the end. The browser's share what no other test can stand beside."""


PLAIN = ("domain", "language", "project")
"""Folders whose tests open nothing."""
SHARES = 2
"""Groups of the browser's tests, each with a site and a browser of its own: one alone would be the
last to end, and more would start a site more often than they save."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first. What shares a site goes to one process, so that it starts once; so do
    the tests of a module, for what they share."""
    items.sort(key=_place)
    pages = sorted({item.path.stem for item in items if item.path.parent.name == "browser"})
    for item in items:
        folder, module = item.path.parent.name, item.path.stem
        if folder == "browser":
            share = pages.index(module) % SHARES
            item.add_marker(pytest.mark.xdist_group(f"{folder}-{share}"))
        elif "site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(folder))
        elif _place(item) == len(LONGEST):
            item.add_marker(pytest.mark.xdist_group(f"{folder}/{module}"))


def _place(item: pytest.Item) -> int:
    folder, module = item.path.parts[-2:]
    names = (name for name in (folder, f"{folder}/{module}") if name in LONGEST)
    return min(map(LONGEST.index, names), default=len(LONGEST))


def pytest_collection_finish() -> None:
    """What is there before the first test is looked at no more when garbage is collected."""
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves open fails that test, and not another one in which it is collected."""
    yield
    if request.path.parent.name not in PLAIN:
        gc.collect()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of this test process; a test that breaks it starts its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a Redis that holds nothing."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this test process; a test that breaks it starts its own."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts real workers of the sample application on this test's Redis; stops them after it."""
    started: list[Process] = []

    def start(*options: str, name: str = "w1", **more: object) -> Process:
        log = tmp_path / f"worker-{name}-{len(started)}.log"
        process = start_worker(redis_url, log, *options, name=name, **more)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()
