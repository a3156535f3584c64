"""`umbel record`: the recorder alone."""

import asyncio
import gc

from app import logs
from app.cli.flags import with_settings
from app.cli.running import with_running_broker
from app.settings import Settings

YOUNG_OBJECTS = 100_000
"""Objects made before Python looks for cycles among them. A recorder makes thousands of small
values a tick, none of them in a cycle: looking at Python's usual 700 took a fifth of its time."""


@with_settings
def record(*, settings: Settings) -> None:
    """Record what the workers of a broker do, until told to stop."""
    settings = with_running_broker(settings)
    transport = settings.transport()
    logs.configure(settings.log_level, settings.log_format)
    # What only the recorder needs; the other commands do not wait for it.
    import uvloop

    from app.recorder import record as run

    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            run(
                transport,
                database_url=settings.database_url,
                redis_url=settings.redis_url,
                retention=settings.retention,
            )
        )
