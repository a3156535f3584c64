"""How every process of Umbel writes its log: one line an event, as text or as JSON.

Call `configure` once, first thing in a process. Code logs through `structlog.get_logger()`;
what libraries log through the standard library comes out in the same form.
"""

import logging
import sys
from typing import Literal

# When structlog is imported it looks for rich, to draw tracebacks that we do not show: 66 modules.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
import structlog  # noqa: E402
from structlog.typing import EventDict, Processor  # noqa: E402

if sys.modules["rich"] is None:
    del sys.modules["rich"]

QUIET = ("httpx", "httpcore", "alembic", "uvicorn.access", "uvicorn.error", "asyncio")
"""Loggers of libraries whose everyday lines are nobody's news: warnings and worse only."""


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Sends everything from `level` up to standard error as `text` or `json`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_uvicorns_colours,
                *_form(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _without_uvicorns_colours(_: object, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def _form(form: Literal["text", "json"]) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            timestamp_key="at",
            pad_event_to=0,
            pad_level=False,
            # The pretty one prints every local variable: people's arguments and results, and
            # for seconds nothing else is done.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
