"""One view with viewers: what they are sent, encoded and packed once for all of them."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cached_property

from app.web.language import language
from app.web.packing import pack_frame
from app.web.pages.digest import Digest
from app.web.pages.render import Fragments
from app.web.pages.rendering import View
from app.web.streams import Waiting

FRAMES_KEPT = 250
"""Frames of a view kept for viewers that read slowly: 10 s of a busy one, then all anew. Fewer
where they are larger together than all of the page: then that is sent instead."""
MISSED = 250
"""Looks whose changes are kept for a view that is still being read: 10 s, then it is read anew."""
SILENCE = 2.0
"""Seconds of silence after which a stream says that it lives. Pages say after 4 that they hear
nothing, so that a server which is frozen or cut off is noticed within 5 (static/js/live.js)."""
URGENT = ("troubles", "as-of")
"""Fragments that no viewer waits for: what is away, and since when."""

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"
PACKED_HEARTBEAT = pack_frame(HEARTBEAT)


class Frame:
    """What viewers of one view are sent: encoded and packed once, by the first who needs it so."""

    def __init__(self, fragments: Mapping[str, str]) -> None:
        self.size = sum(map(len, fragments.values()))
        self.fragments = fragments

    @cached_property
    def plain(self) -> bytes:
        return encode(self.fragments) if self.fragments else HEARTBEAT

    @cached_property
    def packed(self) -> bytes:
        # Not kept in plain too, which hardly any browser asks for.
        return pack_frame(encode(self.fragments)) if self.fragments else PACKED_HEARTBEAT


class Channel:
    """One view with viewers: its latest fragments and the frames that lead to them.

    `missed` is what happened since the view last took notice, None where there was a gap; `urgent`
    the position of the last frame that nobody waits for.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.key = key_of(view)
        self.viewers = 0
        self.position = 0
        self.shown: dict[str, str] = {}
        self.frames: deque[Frame] = deque(maxlen=FRAMES_KEPT)
        self.waiting = Waiting()
        self.task: asyncio.Task[None] | None = None
        self.missed: list[Digest | None] = []
        self.urgent = 0
        self._told = asyncio.Event()
        self._joined: dict[int, tuple[int, Frame]] = {}
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
        if any(name in news for name in URGENT):
            self.urgent = self.position
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

    def since(self, position: int) -> Frame:
        """What a viewer at `position` has to be sent to be up to date: made once for all who are
        there."""
        behind = self.position - position
        if not position or behind > len(self.frames):
            position = 0
        elif behind == 1:
            return self.frames[-1]
        at, frame = self._joined.get(position, (0, None))
        if frame is None or at != self.position:
            latest = list(self.frames)[-behind:]
            frame = _joined(latest) if position else Frame(dict(self.shown))
            kept = {key: made for key, made in self._joined.items() if made[0] == self.position}
            self._joined = {**kept, position: (self.position, frame)}
        return frame


def key_of(view: View) -> str:
    """Equal views in one language look the same."""
    return f"{language()} {view.key}"


def _joined(frames: Iterable[Frame]) -> Frame:
    """The newest of each fragment of several frames."""
    found: dict[str, str] = {}
    for frame in frames:
        found.update(frame.fragments)
    return Frame(found)


def encode(fragments: Mapping[str, str]) -> bytes:
    """Fragments as static/js/live.js reads them: each takes the place of the element of its name.

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
