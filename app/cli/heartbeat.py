"""A child that says all the time that it is alive, so that a frozen one can be told and ended.

One that is stopped inside a transaction on SQLite would keep everybody from writing for ever.
"""

import asyncio
import os
from contextlib import suppress

BEAT_SECONDS = 0.5
SILENT_BEATS = 8
"""Missed in a row, after the first: 4 s, in which a recorder has lost its lease anyway, and soon
enough for another to take over within 5. They are counted, not timed, so that a parent which was
stopped itself, or is as short of time as its child, does not blame it."""
READ_BYTES = 4_096


async def beat(pipe: int) -> None:
    """Says so from this event loop, until nobody is there to hear it."""
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
