"""Live pages: a page's own fragments, sent again when they would look different.

A view is what a page shows: viewers of equal views share it. It is read and rendered at most
once a tick, what changed is encoded once, and each viewer is a place in that short list of
frames. Whoever connects, or falls behind the list, is sent all fragments, so no viewer needs
a memory of its own and a restart of anything is mended by connecting again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from app.domain.errors import TooMany, UmbelError, Unavailable
from app.feed.tail import Tail, Tailed
from app.web.pages.render import Fragments
from app.web.pages.shell import Shell

TICK = 0.25
"""Seconds between two looks for something new: faster than a person reads, and slow enough
that 5,000 changes a second cost a browser a tenth of a core."""
REFRESH = 10.0
"""Seconds after which a view is rendered without a change: ages and windows of time move on."""
VIEW_LIMIT = 500
"""Distinct views at once; each is looked at every tick, so 500 cost some percent of a core."""
FRAMES_KEPT = 40
"""Frames of a view kept for viewers that read slowly: 10 s of a busy one, then all anew."""
AGAIN = 1.0
"""Seconds until a view is rendered again after something that it needs was away."""
HEARTBEAT = 10.0
"""Seconds of silence after which a stream says that it lives; pages give up after 25."""
RETRY = 1000
"""Milliseconds until a page connects again after a goodbye."""

log = logging.getLogger(__name__)


class View(Protocol):
    """What a page shows. Equal keys mean equal pages."""

    @property
    def key(self) -> str: ...

    @property
    def every(self) -> float:
        """Seconds between two renderings, at least."""
        ...

    def take(self, changes: Sequence[Tailed] | None) -> bool:
        """Notes what happened, if anything; whether the page may look different. None: there is
        a gap, read anew."""
        ...

    async def fragments(self) -> Fragments:
        """The live parts as they are now."""
        ...


class Channel:
    """One view with viewers: its latest fragments and the frames that lead to them."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.viewers = 0
        self.position = 0
        self.shown: dict[str, str] = {}
        self.frames: deque[bytes] = deque(maxlen=FRAMES_KEPT)
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def show(self, fragments: Fragments) -> None:
        """Makes a frame of the fragments that look different from the last ones."""
        news = {name: text for name, text in fragments.items() if self.shown.get(name) != text}
        if not news and self.position:
            return
        self.shown.update(news)
        self.frames.append(encode(news))
        self.position += 1
        self.wake()

    def wake(self) -> None:
        """Wakes every viewer."""
        self.changed.set()
        self.changed = asyncio.Event()

    def since(self, position: int) -> bytes:
        """What a viewer at `position` has to be sent to be up to date."""
        behind = self.position - position
        if position == 0 or behind > len(self.frames):
            return encode(self.shown)
        return b"".join(list(self.frames)[len(self.frames) - behind :])


class LiveViews:
    """Every view that somebody watches, each kept by a task of its own."""

    def __init__(self, tail: Tail, shell: Shell) -> None:
        self._tail = tail
        self._shell = shell
        self._channels: dict[str, Channel] = {}
        self._closing = False

    @property
    def views(self) -> int:
        """Distinct views that are watched now."""
        return len(self._channels)

    @property
    def viewers(self) -> int:
        """Open streams of pages."""
        return sum(channel.viewers for channel in self._channels.values())

    async def follow(self, view: View) -> AsyncGenerator[bytes, None]:
        """The frames for one viewer, from all fragments on. Raises TooMany before the first."""
        channel = self._join(view)
        try:
            position = 0
            while not self._closing:
                changed = channel.changed
                if channel.position > position:
                    frame = channel.since(position)
                    position = channel.position
                    yield frame
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT)
                except TimeoutError:
                    yield b"event: heartbeat\ndata: {}\n\n"
            yield f"retry: {RETRY}\nevent: bye\ndata: {{}}\n\n".encode()
        finally:
            self._leave(channel)

    def check(self, view: View) -> None:
        """Raises TooMany where one more view would be too many."""
        if view.key not in self._channels and len(self._channels) >= VIEW_LIMIT:
            raise TooMany(f"{VIEW_LIMIT} different pages are watched live already.")

    def close(self) -> None:
        """Says goodbye to every viewer: the server is stopping."""
        self._closing = True
        for channel in self._channels.values():
            channel.wake()

    def _join(self, view: View) -> Channel:
        self.check(view)
        channel = self._channels.get(view.key)
        if channel is None:
            channel = self._channels[view.key] = Channel(view)
            channel.task = asyncio.create_task(self._keep(channel), name=f"view {view.key[:80]}")
        channel.viewers += 1
        return channel

    def _leave(self, channel: Channel) -> None:
        channel.viewers -= 1
        if channel.viewers == 0:
            self._channels.pop(channel.view.key, None)
            if channel.task is not None:
                channel.task.cancel()

    async def _keep(self, channel: Channel) -> None:
        """Renders a view again whenever it may look different, as long as it is watched."""
        view, loop = channel.view, asyncio.get_running_loop()
        position = self._tail.position
        rendered_at = -REFRESH
        rendered: Fragments = {}
        shown_at: float | None = None
        failed = 0.0
        due = True
        while True:
            changes = self._tail.after(position)
            if changes is None or any(change.change.kind == "reset" for change in changes):
                position = self._tail.position
                due = view.take(None) or due
            else:
                position = changes[-1].position if changes else position
                due = view.take(changes) or due
            age = loop.time() - rendered_at
            if (due and age >= max(view.every, failed)) or age >= REFRESH:
                rendered_at, due = loop.time(), False
                try:
                    parts = await self._rendered(view)
                    rendered = {**parts, "as-of": self._shell.as_of(None)}
                    shown_at, failed = time.time(), 0.0
                except Unavailable:  # the page's banner says what is away, and since when
                    due, failed = True, AGAIN
                    if shown_at is not None:
                        rendered = {**rendered, "as-of": self._shell.as_of(shown_at)}
                except UmbelError:
                    pass  # it is gone, and the page shows what it was
            await self._shell.refresh()
            channel.show({**self._shell.fragments, **rendered})
            await asyncio.sleep(TICK)

    async def _rendered(self, view: View) -> Fragments:
        try:
            return await view.fragments()
        except UmbelError:
            raise
        except Exception:
            # One page that can't be shown must not end the stream that would mend it.
            log.exception("A live page could not be rendered: %s", view.key[:200])
            return {}


def encode(fragments: Fragments | dict[str, str]) -> bytes:
    """Fragments as one event for hx-sse: each takes the place of the element of its name."""
    parts = [
        f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">{text}</hx-partial>'
        for name, text in fragments.items()
    ]
    lines = "\n".join(parts).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ("".join(f"data: {line}\n" for line in lines) + "\n").encode(errors="replace")
