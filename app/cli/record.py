"""`umbel record`: the recorder alone."""

import asyncio
from typing import Annotated

import typer

from app import logs
from app.broker.transport import Transport
from app.cli.flags import with_settings
from app.cli.garbage import look_less_often, look_not_yet
from app.cli.heartbeat import beat
from app.cli.running import with_running_broker
from app.settings import Settings


@with_settings
def record(
    *,
    settings: Settings,
    heartbeat: Annotated[
        int | None, typer.Option(hidden=True, help="The pipe on which `umbel serve` listens.")
    ] = None,
) -> None:
    """Record what the workers of a broker do, until told to stop."""
    settings = with_running_broker(settings)
    transport = settings.transport()
    logs.configure(settings.log_level, settings.log_format)
    look_not_yet()
    # What only the recorder needs; the other commands do not wait for it.
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_record(settings, transport, heartbeat))


async def _record(settings: Settings, transport: Transport, heartbeat: int | None) -> None:
    from app.recorder import record as run

    look_less_often()
    beating = asyncio.create_task(beat(heartbeat)) if heartbeat is not None else None
    try:
        await run(
            transport,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            retention=settings.retention,
            events_bytes=settings.events_bytes,
        )
    finally:
        if beating is not None:
            beating.cancel()
