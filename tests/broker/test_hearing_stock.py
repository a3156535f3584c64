"""Real workers that have never heard of Umbel: every supported Celery, every pool."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from celery import Celery

from app.broker.subscription import Subscription
from app.broker.translate import translate
from app.broker.transport import Transport
from app.domain.tasks import TaskState
from tests.broker.believing import Believed, check_scenario, loses_events
from tests.stock.install import INSTALLED, PINS, python
from tests.stock.workers import run_scenario, start_stock_worker
from tests.support import Process, eventually

pytestmark = pytest.mark.stock

POOLS = ("prefork", "threads", "gevent", "solo")
PATIENCE = 60.0
Check = Callable[[Believed], None]


@contextmanager
def running(workers: list[Process]) -> Iterator[None]:
    """Workers that were started together, ready; stopped together afterwards."""
    try:
        for worker in workers:
            eventually(lambda worker=worker: " ready." in worker.output(), PATIENCE)
        yield
    finally:
        for worker in workers:
            worker.signal(15)
        for worker in workers:
            worker.stop()


async def hear(transport: Transport, opened: Subscription, check: Check) -> None:
    """Listens until what is believed passes the check; fails as the check does after a while."""
    tasks = Believed()
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(TimeoutError):
            found = translate(await asyncio.wait_for(opened.read(), 1.0), transport)
            assert not found.reasons
            tasks.take(found.events)
        try:
            return check(tasks)
        except (AssertionError, KeyError):
            if time.monotonic() > deadline:
                raise


@pytest.mark.parametrize("version", [*PINS, INSTALLED])
async def test_every_pool_of_this_celery_is_heard(
    version: str, redis_url: str, tmp_path: Path
) -> None:
    if python(version) is None:
        pytest.skip("python -m tests.stock.install makes the environments of older versions")
    transport = Transport.from_options(redis_url)
    settings: dict[str, dict[str, object]] = {pool: {"task_default_queue": pool} for pool in POOLS}
    workers = [
        start_stock_worker(
            redis_url,
            tmp_path / f"{pool}.log",
            *("-P", pool, "-c", "1" if pool == "solo" else "2"),
            version=version,
            name=pool,
            settings=settings[pool],
            wait=False,
        )
        for pool in POOLS
    ]
    with running(workers):
        opened = await Subscription.open(transport)
        try:
            sent = await asyncio.gather(
                *(
                    asyncio.to_thread(run_scenario, redis_url, version, settings[pool])
                    for pool in POOLS
                )
            )

            def check(tasks: Believed) -> None:
                for pool, ids in zip(POOLS, sent, strict=True):
                    lossy = loses_events(version, pool)
                    check_scenario(tasks, ids, pool, f"{pool}@test", lossy=lossy)

            await hear(transport, opened, check)
        finally:
            await opened.close()


RENAMED: dict[str, dict[str, object]] = {
    "a key prefix": {"broker_transport_options": {"global_keyprefix": "team:"}},
    "a renamed exchange": {"event_exchange": "myev"},
    "no fanout prefix": {"broker_transport_options": {"fanout_prefix": False}},
    "no fanout patterns": {"broker_transport_options": {"fanout_patterns": False}},
    "a result prefix": {"result_backend_transport_options": {"global_keyprefix": "res"}},
}


async def test_renamed_and_prefixed_applications_are_heard(redis_url: str, tmp_path: Path) -> None:
    """Each has a database of its own, from 3 on, all on one server."""
    urls = [f"{redis_url.removesuffix('/0')}/{3 + index}" for index in range(len(RENAMED))]
    transports = [
        Transport.from_options(
            url,
            None,
            settings.get("broker_transport_options"),  # type: ignore[arg-type]
            settings.get("result_backend_transport_options"),  # type: ignore[arg-type]
            event_exchange=str(settings.get("event_exchange", "celeryev")),
        )
        for url, settings in zip(urls, RENAMED.values(), strict=True)
    ]
    workers = [
        start_stock_worker(
            url,
            tmp_path / f"{index}.log",
            *("-P", "solo"),
            name=f"w{index}",
            settings=settings,
            wait=False,
        )
        for index, (url, settings) in enumerate(zip(urls, RENAMED.values(), strict=True))
    ]
    with running(workers):
        subscriptions = [await Subscription.open(transport) for transport in transports]
        try:
            sent = await asyncio.gather(
                *(
                    asyncio.to_thread(run_scenario, url, INSTALLED, settings)
                    for url, settings in zip(urls, RENAMED.values(), strict=True)
                )
            )
            for index, ids in enumerate(sent):

                def check(
                    tasks: Believed, ids: dict[str, str] = ids, worker: str = f"w{index}@test"
                ) -> None:
                    check_scenario(tasks, ids, "celery", worker)

                await hear(transports[index], subscriptions[index], check)
        finally:
            for opened in subscriptions:
                await opened.close()


async def test_a_task_whose_process_died_names_the_error(redis_url: str, tmp_path: Path) -> None:
    """The event says only `ExceptionWithTraceback()`; the traceback and the backend say more."""
    transport = Transport.from_options(redis_url)
    worker = start_stock_worker(redis_url, tmp_path / "worker.log", "-c", "1")
    with running([worker]):
        opened = await Subscription.open(transport)
        try:
            application = Celery("stock", broker=redis_url)
            sent = application.send_task("stock.die", ignore_result=True)
            application.close()

            def check(tasks: Believed) -> None:
                task = tasks[sent.id]
                assert task.state is TaskState.FAILURE
                assert "WorkerLostError" in (task.exception or "")
                assert "exitcode 7" in (task.exception or "")

            await hear(transport, opened, check)
        finally:
            await opened.close()
