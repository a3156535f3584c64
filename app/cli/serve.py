"""`umbel serve`: the API and the dashboard, with the recorder as a process beside them."""

import asyncio
import sys
from contextlib import suppress

from app.cli.flags import with_settings
from app.cli.garbage import look_less_often, look_not_yet
from app.cli.processes import Process
from app.cli.running import with_running_broker
from app.settings import Settings
from app.web.listening import listen


@with_settings
def serve(*, settings: Settings) -> None:
    """Serve the API and the dashboard, and record what the workers of a broker do."""
    settings = with_running_broker(settings)
    settings.transport()
    check_address(settings)
    look_not_yet()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    recorder = Process(
        "recorder",
        [sys.executable, "-m", "app.cli", "record"],
        environment=settings.environment(),
        heartbeat=True,
    )
    await recorder.start()
    keeping = asyncio.create_task(recorder.keep_running())
    try:
        # It takes as long to begin as what is imported here, and has another processor: nothing
        # that it need not wait for is imported before.
        from app import logs

        logs.configure(settings.log_level, settings.log_format)
        from app.main import create_app
        from app.web import server

        app = create_app(settings)
        look_less_often()
        await server.serve(app, settings.host, settings.port, ready=_say_so)
    finally:
        await recorder.stop()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def check_address(settings: Settings) -> None:
    """Raises CannotStart, before anything is started, where nobody could listen there."""
    listen(settings.host, settings.port).close()


def _say_so(address: str) -> None:
    import structlog

    structlog.get_logger("umbel").info(f"Serving on {address}")
