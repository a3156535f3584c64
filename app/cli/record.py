"""`umbel record`: the recorder alone."""

import asyncio

from app import logs
from app.cli.flags import with_settings
from app.cli.garbage import look_less_often
from app.cli.running import with_running_broker
from app.settings import Settings


@with_settings
def record(*, settings: Settings) -> None:
    """Record what the workers of a broker do, until told to stop."""
    settings = with_running_broker(settings)
    transport = settings.transport()
    logs.configure(settings.log_level, settings.log_format)
    # What only the recorder needs; the other commands do not wait for it.
    import uvloop

    from app.recorder import record as run

    look_less_often()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            run(
                transport,
                database_url=settings.database_url,
                redis_url=settings.redis_url,
                retention=settings.retention,
            )
        )
