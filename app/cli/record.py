"""`umbel record`: the recorder alone."""

import asyncio

from app import logs
from app.cli.flags import with_settings
from app.cli.running import with_running_broker
from app.settings import Settings


@with_settings
def record(*, settings: Settings) -> None:
    """Record what the workers of a broker do, until told to stop."""
    settings = with_running_broker(settings)
    logs.configure(settings.log_level, settings.log_format)
    from app.recorder import record as run

    asyncio.run(
        run(
            settings.transport(),
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            retention=settings.retention,
        )
    )
