"""Live pages: a page's own fragments, sent again when they would look different.

A view is what a page shows: viewers of equal views share it. It is read and rendered at once where
little happens, and less often the more its frames bring. What changed is encoded and packed once,
and each viewer is a place in that short list of frames. Whoever connects, or falls behind the list,
is sent all fragments, so no viewer needs a memory of its own and a restart of anything is mended by
connecting again.
"""

import asyncio
import contextlib
import time

from app.domain.errors import TooMany
from app.feed.tail import RING_COUNT, Tail
from app.web.packing import STREAM_HEAD
from app.web.pages.channel import HEARTBEAT, PACKED_HEARTBEAT, SILENCE, Channel, key_of
from app.web.pages.digest import read_digest
from app.web.pages.rendering import Rendering, View
from app.web.pages.shell import Shell
from app.web.streams import Stream

TICK = 0.04
"""Seconds between two looks for something new, at least: less than a tick of the recorder, so that
what it announces is looked at when it comes."""
LOOK = 0.2
"""Seconds between two looks where nothing comes, and at most where there are many views."""
LOOK_OF_A_VIEW = LOOK / 500
"""Seconds more between two looks for each view: each look costs every view some 20 us."""
PACE = 300_000
"""Characters of fragments that a page is sent in a second: 50 changed rows five times, which costs
a browser a tenth of a core, or two of them with every look."""
REFRESH = 10.0
"""Seconds after which a view is rendered without a change: ages and windows of time move on."""
VIEW_LIMIT = 1_000
"""Distinct views at once; each takes some 200 KB, and a tenth of a core goes for looking at all
of them."""
SHARE = 0.65
"""Of the process's time that renderings and their sending may take: with many views or viewers each
has its turn less often. A list whose 50 rows all change costs 8 ms, 1,000 viewers of it 30 ms."""
AGAIN = 1.0
"""Seconds until a view is rendered again after something that it needs was away."""
RATES = {"2": 2.0, "10": 10.0}
"""Seconds between two frames that a viewer can ask for, as addresses say them."""


class LiveViews:
    """Every view that somebody watches, each kept by a task of its own."""

    def __init__(self, tail: Tail, shell: Shell) -> None:
        self._tail = tail
        self._shell = shell
        self._channels: dict[str, Channel] = {}
        self._ticking: list[asyncio.Task[None]] = []

    @property
    def views(self) -> int:
        """Distinct views that are watched now."""
        return len(self._channels)

    @property
    def viewers(self) -> int:
        """Open streams of pages."""
        return sum(channel.viewers for channel in self._channels.values())

    async def follow(
        self, view: View, stream: Stream, packed: bool = False, every: float = 0.0
    ) -> None:
        """Sends one viewer all fragments and then what changes, for ever, at most once in `every`
        seconds. Raises TooMany before the first."""
        channel = self._join(view)
        try:
            position, head = 0, STREAM_HEAD if packed else b""
            while True:
                if channel.position == position:
                    await channel.waiting.woken()
                    continue
                frame, position = channel.since(position), channel.position
                await stream.write(head + (frame.packed if packed else frame.plain))
                head = b""
                if every:
                    await _rest(channel, stream, every, packed)
        finally:
            self._leave(channel)

    def check(self, view: View) -> None:
        """Raises TooMany where one more view would be too many."""
        if key_of(view) not in self._channels and len(self._channels) >= VIEW_LIMIT:
            raise TooMany(f"{VIEW_LIMIT} different pages are watched live already.")

    def _join(self, view: View) -> Channel:
        self.check(view)
        key = key_of(view)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(view)
            # It goes on in the language of whoever came first, which is that of the key.
            channel.task = asyncio.create_task(self._keep(channel), name=f"view {view.key[:80]}")
            if not self._ticking:
                works = {"ticks of live pages": self._tick(), "around live pages": self._refresh()}
                self._ticking = [
                    asyncio.create_task(work, name=name) for name, work in works.items()
                ]
        channel.viewers += 1
        return channel

    def _leave(self, channel: Channel) -> None:
        channel.viewers -= 1
        if channel.viewers == 0:
            self._channels.pop(channel.key, None)
            if channel.task is not None:
                channel.task.cancel()
        if not self._channels:
            for task in self._ticking:
                task.cancel()
            self._ticking = []

    async def _refresh(self) -> None:
        """Keeps what stands around pages new: beside them, for in a storm the store takes its
        time."""
        while True:
            await self._shell.refresh()
            await asyncio.sleep(LOOK)

    async def _tick(self) -> None:
        """Tells every view what happened: at once after a silence, and then once a tick."""
        position = self._tail.position
        while True:
            await self._tail.wait(position, LOOK)
            news = read_digest(self._tail.after(position, RING_COUNT))
            position = self._tail.position
            for channel in self._channels.values():
                channel.tell(news)
            await asyncio.sleep(max(TICK, min(LOOK, len(self._channels) * LOOK_OF_A_VIEW)))

    async def _keep(self, channel: Channel) -> None:
        """Renders a view again whenever it may look different, as long as it is watched."""
        loop, rendering = asyncio.get_running_loop(), Rendering(channel.view, self._shell)
        due, rendered_at, pace = True, -REFRESH, 0.0
        while True:
            due = channel.take() or due
            age = loop.time() - rendered_at
            if (due and age >= pace) or age >= REFRESH:
                rendered_at, begun = loop.time(), time.thread_time()
                due = not await rendering.renew()
                size = await channel.show(rendering.fragments)
                cost = (time.thread_time() - begun) * len(self._channels) / SHARE
                pace = max(channel.view.every, cost, size / PACE, AGAIN if due else 0.0)
            else:
                await channel.show(rendering.fragments)
            await channel.told(max(0.0, rendered_at + pace - loop.time()) if due else None)


async def _rest(channel: Channel, stream: Stream, every: float, packed: bool) -> None:
    """Lets a viewer be until its next frame is due, or something is that nobody waits for."""
    loop, urgent = asyncio.get_running_loop(), channel.urgent
    # All with one rate are due at the same moments, so that one frame is made for them.
    due = (loop.time() // every + 1) * every
    said_at = loop.time()
    while channel.urgent == urgent and (left := due - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(left, SILENCE)):
                await channel.waiting.woken()
        if due > loop.time() >= said_at + SILENCE:
            said_at = loop.time()
            await stream.write(PACKED_HEARTBEAT if packed else HEARTBEAT)
