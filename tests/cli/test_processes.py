"""Children are started, heard, restarted, and never outlive their parent."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.cli import processes
from app.cli.processes import Process, ended
from app.domain.errors import CannotStart
from tests.support import eventually, eventually_async

STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up')\ntime.sleep(600)"
QUICK = ((signal.SIGTERM, 0.3),)


class Lines(list[tuple[str, str]]):
    """What was said, by whom."""

    def __call__(self, process: str, line: str) -> None:
        self.append((process, line))

    def has(self, part: str) -> bool:
        return any(part in line for _, line in self)


def python(code: str, lines: Lines, **more: object) -> Process:
    return Process("child", [sys.executable, "-c", code], say=lines, **more)  # type: ignore[arg-type]


async def test_output_of_a_child_is_passed_on_line_by_line() -> None:
    lines = Lines()
    child = python("import sys; print('one'); print('two', file=sys.stderr)", lines)
    await child.start()
    assert await child.wait() == 0
    assert sorted(lines) == [("child", "one"), ("child", "two")]


async def test_a_line_beyond_all_measure_does_not_stop_the_output() -> None:
    lines = Lines()
    child = python("print('x' * 3_000_000); print('after')", lines)
    await child.start()
    await child.wait()
    assert lines[-1] == ("child", "after")


async def test_a_child_that_ignores_the_signal_is_killed_with_all_it_started() -> None:
    lines = Lines()
    code = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
    child = python(code + STUBBORN, lines, ways_to_stop=QUICK)
    await child.start()
    await eventually_async(lambda: _twice_up(lines))
    assert child.pid is not None
    family = [child.pid, *(each.pid for each in psutil.Process(child.pid).children())]
    await child.stop()
    assert len(family) == 2
    for pid in family:
        eventually(lambda pid=pid: not _alive(pid))
    assert lines.has("did not stop when asked to")


async def _twice_up(lines: Lines) -> bool:
    return lines.count(("child", "up")) == 2


async def test_a_frozen_child_is_stopped_too() -> None:
    lines = Lines()
    child = python("import time; print('up'); time.sleep(600)", lines, ways_to_stop=QUICK)
    await child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    pid = child.pid
    await child.stop()
    assert not _alive(pid)


async def test_a_child_that_dies_is_started_again_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    lines = Lines()
    child = python("import time; print('up'); time.sleep(600)", lines, ways_to_stop=QUICK)
    await child.start()
    keeping = asyncio.create_task(child.keep_running())
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    async def another() -> bool:
        return child.pid not in (None, first)

    await eventually_async(another)
    assert lines.has("child was ended by SIGKILL; starting it again")
    await child.stop()
    await asyncio.wait_for(keeping, 5)
    assert child.pid is None


async def test_a_program_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(CannotStart, match="can't be run"):
        await Process("child", ["/nowhere/at-all"]).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of it")
def test_a_child_does_not_outlive_a_parent_that_is_killed_outright(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import asyncio, sys\nfrom app.cli.processes import Process\n"
        "async def main():\n"
        "    child = Process('c', [sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    await child.start(); print(child.pid, flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    eventually(lambda: not _alive(pid))


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (3, "ended with status 3"), (-9, "was ended by SIGKILL")],
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    assert ended(status) == words


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
