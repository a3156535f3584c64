"""What each process imports before it is ready: a start takes as long as that."""

import subprocess
import sys

import pytest

from tests.support import ROOT

CELERY = {"celery", "kombu", "billiard"}
"""Only `umbel demo` speaks through it."""
STORE = {"alembic", "psycopg", "sqlalchemy.dialects.postgresql"}
"""What only a migration or PostgreSQL needs."""
SHELL = {"httpx", "rich", "pygments"}
"""What only those need who ask a server and show its answers."""
METRICS = {"prometheus_client"}
"""What only who asks for `GET /metrics` needs."""
WEB = {"fastapi", "starlette", "pydantic", "uvicorn", "jinja2", "jsonschema_rs"}
ALL = CELERY | STORE | SHELL | METRICS | WEB | {"dotenv"}

PROCESSES = {
    # Until its recorder is started.
    "app.cli.shell, app.cli.serve": ALL | {"sqlalchemy", "redis", "structlog", "msgspec"},
    # Until Redis, workers and server are started.
    "app.cli.shell, app.cli.up": ALL | {"sqlalchemy", "redis", "structlog", "msgspec"},
    "app.cli.shell, app.cli.record, app.recorder": ALL,
    "app.logs, app.main, app.web.server": CELERY | STORE | SHELL | METRICS | {"typer"},
}


@pytest.mark.parametrize("modules", PROCESSES)
def test_a_start_does_not_wait_for_what_it_does_not_need(modules: str) -> None:
    program = f"import {modules}, sys; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not PROCESSES[modules] & set(found.split())


def test_every_command_is_imported_alone() -> None:
    program = (
        "import sys; sys.argv[1:] = ['tasks', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "app.cli.tasks" in found.split()
    assert not {"app.cli.serve", "app.cli.demo", "asyncio"} & set(found.split())
