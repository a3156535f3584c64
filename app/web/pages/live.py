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
from collections import deque
from collections.abc import Mapping
from functools import cached_property

from app.domain.errors import TooMany
from app.feed.tail import RING_COUNT, Tail
from app.web.language import language
from app.web.packing import STREAM_HEAD, pack_frame
from app.web.pages.digest import Digest, read_digest
from app.web.pages.render import Fragments
from app.web.pages.rendering import Rendering, View
from app.web.pages.shell import Shell
from app.web.streams import Stream, Waiting

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
FRAMES_KEPT = 250
"""Frames of a view kept for viewers that read slowly: 10 s of a busy one, then all anew. Fewer
where they are larger together than all of the page: then that is sent instead."""
MISSED = 250
"""Looks whose changes are kept for a view that is still being read: 10 s, then it is read anew."""
AGAIN = 1.0
"""Seconds until a view is rendered again after something that it needs was away."""
SILENCE = 10.0
"""Seconds of silence after which a stream says that it lives; pages give up after 25."""

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"


class Frame:
    """What viewers of one view are sent: encoded and packed once, by the first who needs it so."""

    def __init__(self, fragments: Mapping[str, str]) -> None:
        self.size = sum(map(len, fragments.values()))
        self._fragments = fragments

    @cached_property
    def plain(self) -> bytes:
        return encode(self._fragments) if self._fragments else HEARTBEAT

    @cached_property
    def packed(self) -> bytes:
        # Not kept in plain too, which hardly any browser asks for.
        return pack_frame(encode(self._fragments) if self._fragments else HEARTBEAT)


class Channel:
    """One view with viewers: its latest fragments and the frames that lead to them.

    `missed` is what happened since the view last took notice, None where there was a gap.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.key = _key(view)
        self.viewers = 0
        self.position = 0
        self.shown: dict[str, str] = {}
        self.frames: deque[Frame] = deque(maxlen=FRAMES_KEPT)
        self.waiting = Waiting()
        self.task: asyncio.Task[None] | None = None
        self.missed: list[Digest | None] = []
        self._told = asyncio.Event()
        self._whole: tuple[int, Frame] | None = None
        self._framed_at = time.monotonic()

    def tell(self, news: Digest | None) -> None:
        """Something happened, or nothing (an empty digest)."""
        if news is None or len(self.missed) >= MISSED:
            self.missed = [None]
        elif news or not self.missed:
            self.missed.append(news)
        self._told.set()

    async def told(self, patience: float | None) -> None:
        """Waits for the next look, up to `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._told.wait()
        self._told.clear()

    def take(self) -> bool:
        """Has the view take notice of what it missed; whether it may look different."""
        missed, self.missed = self.missed, []
        taken = [self.view.take(news) for news in missed]
        return any(taken)

    async def show(self, fragments: Fragments) -> int:
        """Sends the fragments that look different from the last ones, or a sign of life; how many
        characters these are."""
        news = {name: text for name, text in fragments.items() if self.shown.get(name) != text}
        now = time.monotonic()
        if self.position and not news and now - self._framed_at < SILENCE:
            return 0
        self.shown.update(news)
        self._framed_at = now
        self.position += 1
        frame = Frame(news)
        self._keep(frame)
        await self.waiting.wake()
        return frame.size

    def _keep(self, frame: Frame) -> None:
        whole = sum(map(len, self.shown.values()))
        kept = frame.size + sum(earlier.size for earlier in self.frames)
        while self.frames and kept > whole:
            kept -= self.frames.popleft().size
        self.frames.append(frame)

    def since(self, position: int) -> list[Frame]:
        """What a viewer at `position` has to be sent to be up to date."""
        behind = self.position - position
        if position and behind <= len(self.frames):
            return list(self.frames)[len(self.frames) - behind :]
        if self._whole is None or self._whole[0] != self.position:
            self._whole = self.position, Frame(dict(self.shown))
        return [self._whole[1]]


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

    async def follow(self, view: View, stream: Stream, packed: bool = False) -> None:
        """Sends one viewer all fragments and then what changes, for ever. Raises TooMany before
        the first."""
        channel = self._join(view)
        try:
            position, head = 0, STREAM_HEAD if packed else b""
            while True:
                if channel.position == position:
                    await channel.waiting.woken()
                    continue
                frames = channel.since(position)
                position = channel.position
                parts = [frame.packed if packed else frame.plain for frame in frames]
                await stream.write(head + (parts[0] if len(parts) == 1 else b"".join(parts)))
                head = b""
        finally:
            self._leave(channel)

    def check(self, view: View) -> None:
        """Raises TooMany where one more view would be too many."""
        if _key(view) not in self._channels and len(self._channels) >= VIEW_LIMIT:
            raise TooMany(f"{VIEW_LIMIT} different pages are watched live already.")

    def _join(self, view: View) -> Channel:
        self.check(view)
        key = _key(view)
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


def _key(view: View) -> str:
    """Equal views in one language look the same."""
    return f"{language()} {view.key}"


def encode(fragments: Mapping[str, str]) -> bytes:
    """Fragments as hx-sse reads them: each takes the place of the element of its name.

    Rows of tables are an event of their own, for static/js/rows.js.
    """
    rows = [text for text in fragments.values() if text.startswith("<tr ")]
    parts = [
        f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">{text}</hx-partial>'
        for name, text in fragments.items()
        if not text.startswith("<tr ")
    ]
    return (_event("event: rows\n", rows) + _event("", parts)).encode(errors="replace")


def _event(head: str, parts: list[str]) -> str:
    if not parts:
        return ""
    lines = "\n".join(parts).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return head + "".join([f"data: {line}\n" for line in lines]) + "\n"
