"""The shop of `umbel demo --stream`: a busy Celery application of its own, on the given broker.

It is `worker.shop` with its workers and its customers; nothing here knows more than their names.
"""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from importlib.util import find_spec

from app.cli.output import OURS, Output
from app.cli.processes import Process, Say
from app.domain.errors import CannotStart
from app.settings import Settings

APPLICATION = "worker.shop"
WORKERS = {
    "front": ("orders,payments", "threads", 8),
    "post": ("mail,webhooks", "threads", 8),
    "back": ("media,reports,imports", "prefork", 2),
}
"""Of each worker its queues, its pool, and how many tasks it runs at a time: they mostly sleep."""
SOFT_SHUTDOWN = 2.0
"""Seconds that what runs is given to end; the rest goes back to its queue."""
STOP_WORKER = ((signal.SIGQUIT, SOFT_SHUTDOWN + 2.5),)


def stream(settings: Settings, rate: float) -> None:
    """Keeps the shop busy until a signal, `rate` acts of its customers a second on average.

    Raises CannotStart where its application is not installed here.
    """
    if find_spec("worker") is None or find_spec(APPLICATION) is None:
        raise CannotStart(
            f"The demonstration's application, {APPLICATION}, is not installed here: run this "
            "from a checkout."
        )
    asyncio.run(_stream(settings, rate))


async def _stream(settings: Settings, rate: float) -> None:
    say = Output(settings.log_format)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ending.set)
    customers = _customers(settings, rate, say)
    workers = [_worker(name, settings, say) for name in WORKERS]
    keeping: list[asyncio.Task[None]] = []
    try:
        for process in (*workers, customers):
            await process.start()
            keeping.append(asyncio.create_task(process.keep_running()))
        say(OURS, "The shop is open. Ctrl-C closes it.")
        await ending.wait()
    finally:
        say(OURS, "Closing the shop.")
        await customers.stop()
        await asyncio.gather(*(worker.stop() for worker in workers))
        for task in keeping:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _worker(name: str, settings: Settings, say: Say) -> Process:
    queues, pool, slots = WORKERS[name]
    command = [sys.executable, "-m", "celery", "-q", "-A", APPLICATION, "worker", "-Q", queues]
    command += ["-n", f"shop-{name}@{socket.gethostname()}", "-P", pool, "-c", str(slots)]
    command += ["-l", "CRITICAL"]  # its tasks fail on purpose
    environment = {**settings.environment(), "UMBEL_SOFT_SHUTDOWN": str(SOFT_SHUTDOWN)}
    return Process(name, command, say=say, environment=environment, ways_to_stop=STOP_WORKER)


def _customers(settings: Settings, rate: float, say: Say) -> Process:
    command = [sys.executable, "-m", "worker.customers", "--rate", str(rate)]
    return Process("customers", command, say=say, environment=settings.environment())
