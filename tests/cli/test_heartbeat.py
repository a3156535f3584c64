"""A child that froze is told from one that is only slow, and ended; whoever pauses is spared."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable

import pytest

from app.cli import heartbeat, processes
from app.cli.heartbeat import beat, falls_silent
from app.cli.processes import Process
from tests.cli.test_processes import QUICK, Lines, _alive
from tests.support import eventually_async

BEATS = """
import asyncio, sys
from app.cli import heartbeat
heartbeat.BEAT_SECONDS = 0.05
async def main():
    asyncio.get_running_loop().call_later(1.0, print, "has begun")
    await heartbeat.beat(int(sys.argv[sys.argv.index("--heartbeat") + 1]))
asyncio.run(main())
"""
MUTE = "import time; time.sleep(600)"

Start = Callable[[str], Process]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
async def start(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    made: list[Process] = []

    def make(code: str) -> Process:
        command = [sys.executable, "-c", code]
        made.append(Process("child", command, say=lines, ways_to_stop=QUICK, heartbeat=True))
        return made[-1]

    yield make
    for child in made:
        await child.stop()


async def test_a_frozen_child_is_killed_and_started_again(start: Start, lines: Lines) -> None:
    child = start(BEATS)
    await child.start()
    keeping = asyncio.create_task(child.keep_running())

    async def begun() -> bool:  # well over the silence that is allowed ago
        return lines.has("has begun")

    await eventually_async(begun)
    first = child.pid
    assert first is not None
    assert len(lines) == 1
    os.kill(first, signal.SIGSTOP)

    async def another() -> bool:
        return child.pid not in (None, first)

    await eventually_async(another)
    assert not _alive(first)
    assert lines.has("has said nothing for 4 s; killing it")
    await child.stop()
    await asyncio.wait_for(keeping, 5)


async def test_a_child_that_has_not_begun_to_speak_is_waited_for(
    start: Start, lines: Lines
) -> None:
    child = start(MUTE)
    await child.start()
    await asyncio.sleep(1.0)
    assert child.pid is not None
    assert not lines


async def test_no_pipe_is_left_over(start: Start) -> None:
    child = start(BEATS)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await child.start()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()

    async def closed() -> bool:
        return set(os.listdir("/proc/self/fd")) <= before

    await eventually_async(closed)


async def test_a_parent_that_was_paused_does_not_blame_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    ours, childs = os.pipe()
    os.write(childs, b".")
    falling = asyncio.create_task(falls_silent(ours))
    await asyncio.sleep(0.1)
    time.sleep(1.0)  # noqa: ASYNC251 - the whole process stands still
    await asyncio.sleep(0.05)
    assert not falling.done()
    os.close(childs)
    assert await asyncio.wait_for(falling, 5) is False
    os.close(ours)


async def test_a_beat_stops_nobody_when_nobody_reads_and_ends_with_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    ours, childs = os.pipe()
    os.set_blocking(childs, False)
    try:
        while True:
            os.write(childs, b"." * 4096)
    except BlockingIOError:
        pass
    beating = asyncio.create_task(beat(childs))
    await asyncio.sleep(0.1)
    assert not beating.done()
    os.close(ours)
    await asyncio.wait_for(beating, 5)
    os.close(childs)
