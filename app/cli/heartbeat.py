"""A child that says each second that it is alive, so that a frozen one can be told and ended.

One that is stopped inside a transaction on SQLite would keep everybody from writing for ever.
"""

import asyncio
import os
from contextlib import suppress

BEAT_SECONDS = 1.0
SILENT_BEATS = 10
"""Missed in a row, after the first: far more than any pause of a busy machine. They are counted,
not timed, so that a parent which was stopped itself does not blame its child."""
READ_BYTES = 4_096


async def beat(pipe: int) -> None:
    """Says so from this event loop until nobody is there to hear it."""
    os.set_blocking(pipe, False)
    with suppress(BrokenPipeError):
        while True:
            with suppress(BlockingIOError):
                os.write(pipe, b".")
            await asyncio.sleep(BEAT_SECONDS)


async def falls_silent(pipe: int) -> bool:
    """True once a child that had begun says nothing any more; False when it is gone."""
    os.set_blocking(pipe, False)
    begun, missed = False, 0
    while missed < SILENT_BEATS:
        await asyncio.sleep(BEAT_SECONDS)
        try:
            heard = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            missed += begun
            continue
        if not heard:
            return False
        begun, missed = True, 0
    return True
