"""`umbel demo`: the sample application, which knows of Celery alone and of nothing of Umbel's.

It sends the three sample tasks straight to the workers, as any Celery application would, and
reads their states and results from the result backend. Umbel shows them by watching.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from app import logs
from app.broker.connection import connect, reading
from app.broker.transport import Transport
from app.cli import exits, shop
from app.cli.flags import with_settings
from app.cli.running import with_running_broker
from app.cli.show import has_ended, outcome_of, state_of
from app.domain.errors import BrokerUnavailable, UmbelError
from app.domain.tasks import TaskState
from app.settings import Settings

NUMBERS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3.5, 8.9, 7.9]
LOOK = 0.2
"""Seconds between two looks at the results: often enough to watch, and costs next to nothing."""
_BAR = 20
"""Characters of a progress bar."""


@dataclass(slots=True)
class Sample:
    """One task of the demonstration, and what the result backend says of it."""

    name: str
    args: list[Any]
    task_id: str = ""
    seen: dict[str, Any] = field(default_factory=lambda: {"state": TaskState.PENDING.value})

    @property
    def succeeded(self) -> bool:
        """It has ended, and well."""
        return bool(self.seen["state"] == TaskState.SUCCESS)

    def line(self) -> Text:
        """Name, state, progress, outcome."""
        state, outcome = state_of(self.seen), outcome_of(self.seen)
        return Text.assemble(
            f"{self.name:<25} ",
            state,
            " " * max(1, 9 - len(state)),
            _bar(self.seen),
            outcome,
        )


@with_settings
def demo(
    *,
    settings: Settings,
    seconds: Annotated[int, typer.Option(min=0, help="How long the long task sleeps.")] = 5,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Give up after; exit status 124.")
    ] = 120.0,
    stream: Annotated[
        bool, typer.Option("--stream", help="Keep a believable shop busy, until Ctrl-C.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0.01, max=100, help="With --stream: customers' acts a second.")
    ] = 3.0,
) -> None:
    """Send the three sample tasks through Celery, and show them until they have ended.

    Exit status 0 only if all of them succeed. With --stream it runs an application with workers of
    its own instead, which is always busy.
    """
    settings = with_running_broker(settings)
    if stream:
        shop.stream(settings, rate)
        return
    logs.configure(settings.log_level, settings.log_format)
    # Celery takes a third of a second to import: only this command pays for it.
    from app.broker.celery_client import celery_client

    transport = settings.transport()
    asyncio.run(_check(transport))
    client = celery_client(transport)
    samples = [
        Sample("worker.tasks.add", [2, 3]),
        Sample("worker.tasks.process_data", [NUMBERS]),
        Sample("worker.tasks.long_task", [seconds]),
    ]
    for sample in samples:
        sample.task_id = _asked(partial(client.send_task, sample.name, sample.args)).id
    ended = _show(client, samples, time.monotonic() + timeout)
    if not ended:
        raise typer.Exit(exits.TIMEOUT)
    if not all(sample.succeeded for sample in samples):
        raise typer.Exit(exits.FAILED)


async def _check(transport: Transport) -> None:
    # Celery by itself would try for a quarter of a minute before it says so.
    redis = connect(transport.url)
    try:
        with reading(transport.url):
            await redis.ping()
    finally:
        await redis.aclose()


def _show(client: Any, samples: list[Sample], deadline: float) -> bool:
    """Until all have ended (true) or the deadline has come (false)."""
    console = Console(highlight=False, soft_wrap=True)
    lines = {sample.task_id: "" for sample in samples}
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            for sample in samples:
                _look(client, sample)
                if not console.is_terminal and sample.line().plain != lines[sample.task_id]:
                    lines[sample.task_id] = sample.line().plain
                    console.print(sample.line())
            if console.is_terminal:
                live.update(Group(*(sample.line() for sample in samples)), refresh=True)
            if all(has_ended(sample.seen) for sample in samples):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)


def _look(client: Any, sample: Sample) -> None:
    """Reads the result backend, and puts it into the words of the API."""
    if has_ended(sample.seen):
        return
    found = _asked(lambda: client.backend.get_task_meta(sample.task_id))
    status, result = found.get("status"), found.get("result")
    sample.seen = {"state": status}
    if status == TaskState.PROGRESS:
        sample.seen["progress"] = result
    elif status == TaskState.SUCCESS:
        sample.seen["result"] = result
    elif isinstance(result, BaseException):
        sample.seen["exception"] = f"{type(result).__name__}: {result}"


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except UmbelError:
        raise
    except Exception as error:  # Celery passes on whatever its transport and backend raise
        raise BrokerUnavailable(f"The broker or the result backend failed: {error}") from None


def _bar(seen: dict[str, Any]) -> Text:
    progress = seen.get("progress") or {}
    current, total = progress.get("current"), progress.get("total")
    if not current or not total:
        return Text("")
    done = min(_BAR, int(_BAR * current / total))
    return Text("━" * done + "─" * (_BAR - done) + " ", style="cyan")
