"""Events without end: a process of its own publishes a recorded stream again and again."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event as Stop
from pathlib import Path

from benchmarks import events, recording, stack
from benchmarks.recording import Message

STOP_SECONDS = 30.0
"""For the process to end the copy that it is at."""


async def record(folder: Path) -> list[Message]:
    """The stream of a real worker, as `benchmarks.recording` has it."""
    (folder / "recording").mkdir(parents=True, exist_ok=True)
    with stack.redis(folder / "recording") as server:
        return await recording.record(folder / "recording", server.url)


@contextmanager
def blowing(port: int, messages: list[Message], rate: float, *, durable: bool) -> Iterator[None]:
    """So many events a second, of tasks that are new each time, until the end of the block."""
    spawn = get_context("spawn")
    stop = spawn.Event()
    process = spawn.Process(target=_blow, args=(port, messages, rate, durable, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(STOP_SECONDS)
        process.kill()


def copy(messages: list[Message], told: int, *, durable: bool) -> tuple[list[bytes], int]:
    """The stream once more, with tasks of its own, after so many events; how many these are."""
    if durable:
        [commands], count = events._streamed(messages, 1, told + 1)
    else:
        [commands], count = recording.again(messages, 1)
    return commands, count


def _blow(port: int, messages: list[Message], rate: float, durable: bool, stop: Stop) -> None:
    next_at, told = time.monotonic(), 0
    while not stop.is_set():
        commands, count = copy(messages, told, durable=durable)
        told += count
        takes = count / rate
        # One copy after the other, and no more of them at once where one came late.
        next_at = max(next_at + takes, time.monotonic())
        left = max(takes / 2, next_at - time.monotonic())
        asyncio.run(recording.play(port, commands, len(commands) / left))
