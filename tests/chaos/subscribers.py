"""Readers of the live stream that resume after every cut, and check that nothing was missed."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import redis.asyncio
import redis.exceptions

from tests.chaos.sse import Frame, Parser

PAUSE = 0.2
"""Seconds before a reader connects again, as short as a page's that does not care."""
SILENCE = 20.0
"""Seconds without a byte after which a connection counts as dead; heartbeats come within 15."""
ARCHIVE_SECONDS = 0.2

Id = tuple[int, int]


def order(feed_id: str) -> Id:
    """What a feed id is compared by."""
    ms, _, seq = feed_id.partition("-")
    return int(ms), int(seq or 0)


@dataclass
class Tape:
    """All that one reader was sent, in order, over all its connections."""

    name: str
    frames: list[Frame] = field(default_factory=list)
    connections: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def last_id(self) -> str:
        return next((frame.id for frame in reversed(self.frames) if frame.id), "")

    @property
    def resets(self) -> int:
        return sum(frame.event == "reset" for frame in self.frames)


class Reader:
    """A subscriber that follows `/events` and resumes with Last-Event-ID after every cut."""

    def __init__(self, name: str, urls: list[str], query: str = "") -> None:
        self.tape = Tape(name)
        self.query = query
        self.ending = False
        self._urls = urls

    async def run(self) -> None:
        """Reads until its connection ends after `ending` was set."""
        while not self.ending:
            self.tape.connections += 1
            try:
                await self._read_one()
            except (httpx.HTTPError, OSError, TimeoutError):
                pass  # cut: that is what we are here for
            except ValueError as error:
                self.tape.errors.append(str(error))
            await asyncio.sleep(PAUSE)

    async def _read_one(self) -> None:
        parser = Parser()
        self.tape.frames.append(Frame("", "connected", str(self.tape.connections)))
        async with aclosing(self.connect(self.choose(), self.tape.last_id)) as connection:
            async for data in connection:
                frames = parser.feed(data)
                self.tape.frames += frames
                if self.ending or any(frame.event == "bye" for frame in frames):
                    return

    def choose(self) -> str:
        """Where to connect: the first replica, the others only while it is away."""
        return self._urls[(self.tape.connections - 1) % len(self._urls)]

    async def connect(self, url: str, last_id: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one connection, until it ends."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        client = httpx.AsyncClient(timeout=httpx.Timeout(5, read=SILENCE), trust_env=False)
        async with client, client.stream("GET", url + "/events" + self.query, headers=headers) as a:
            if a.status_code != httpx.codes.OK:
                raise httpx.HTTPError(f"{a.status_code}")
            async for data in a.aiter_bytes():
                yield data


class Hopper(Reader):
    """Changes to another replica every second or two."""

    async def connect(self, url: str, last_id: str) -> AsyncGenerator[bytes, None]:
        until = asyncio.get_running_loop().time() + random.uniform(0.5, 2.5)
        async with aclosing(super().connect(url, last_id)) as connection:
            async for data in connection:
                yield data
                if asyncio.get_running_loop().time() > until:
                    return


class Raw(Reader):
    """Speaks HTTP by itself and hangs up after any byte, in the middle of a frame as well."""

    async def connect(self, url: str, last_id: str) -> AsyncGenerator[bytes, None]:
        address = urlsplit(url)
        ask = f"?last_event_id={quote(last_id)}" if last_id else ""
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(f"GET /events{ask} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE)
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head[:40].decode())
            allowed = random.randint(100, 60_000)
            while allowed > 0 and (data := await self._chunk(reader)):
                yield data[:allowed]
                allowed -= len(data)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionError(str(error)) from error
        finally:
            writer.transport.abort()

    async def _chunk(self, reader: asyncio.StreamReader) -> bytes:
        size = int(await asyncio.wait_for(reader.readline(), SILENCE) or b"0", 16)
        data = await reader.readexactly(size + 2)
        return data[:-2]


class Archive:
    """Everything that was ever in the feed, read straight from Redis as long as it is there."""

    def __init__(self, port: int) -> None:
        self.kinds: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.ending = False
        self._redis = redis.asyncio.Redis(port=port, decode_responses=True, socket_timeout=5)
        self._last = "-"

    async def run(self) -> None:
        """Reads until `ending` is set."""
        try:
            while not self.ending:
                with suppress(redis.exceptions.RedisError, OSError):  # it goes on where it was
                    await self.read()
                await asyncio.sleep(ARCHIVE_SECONDS)
        finally:
            await self._redis.aclose()

    async def read(self) -> None:
        """Takes in what is new."""
        while True:
            first = f"({self._last}" if self._last != "-" else "-"
            entries = await self._redis.xrange("umbel:feed", first, "+", count=500)
            for feed_id, fields in entries:
                self.kinds[feed_id] = fields["k"]
                if fields["k"] == "task":
                    self.states[feed_id] = json.loads(fields["d"])["state"]
                self._last = feed_id
            if len(entries) < 500:
                return

    @property
    def last_id(self) -> str:
        return max(self.kinds, key=order, default="0-0")


@dataclass
class Judgement:
    """What one reader's tape shows: ids missed, sent twice, out of order; tasks ended wrongly."""

    name: str
    missed: list[str]
    doubled: list[str]
    disordered: list[str]
    stale: list[str]
    resets: int
    connections: int
    errors: list[str]


def judge(
    tape: Tape, archive: Mapping[str, str], tasks: Mapping[str, Mapping[str, Any]], end: Id
) -> Judgement:
    """Compares a tape with the feed (`archive`: kinds by id) and with what REST says of `tasks`.

    Everything up to `end` has to be there.
    """
    seen: set[str] = set()  # since the last reset, after which everything is read anew
    had: set[str] = set()
    doubled, disordered = [], []
    excused: list[tuple[Id, Id]] = []
    at: Id | None = None
    began: Id | None = None
    told_at: Id | None = None
    for frame in tape.frames:
        if frame.event == "reset":
            told_at, seen = at or (0, 0), set()
        if not frame.id:
            continue
        here = order(frame.id)
        began = began or here
        if told_at is not None:
            excused.append((told_at, here))
            told_at = at = None
        if frame.event not in ("heartbeat", "reset"):
            if frame.id in seen:
                doubled.append(frame.id)
            elif at is not None and here <= at:
                disordered.append(frame.id)
            seen.add(frame.id)
            had.add(frame.id)
        elif at is not None and here < at:
            disordered.append(frame.id)
        at = here
    missed = [
        feed_id
        for feed_id, kind in archive.items()
        if began is None or began < order(feed_id) <= end
        if kind != "reset" and feed_id not in had
        if not any(first < order(feed_id) <= last for first, last in excused)
    ]
    resets = tape.resets
    stale = [] if resets else _stale(tape, tasks)
    return Judgement(
        tape.name, missed, doubled, disordered, stale, resets, tape.connections, tape.errors
    )


def _stale(tape: Tape, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tasks whose last word in the stream is not what REST says."""
    told: dict[str, Any] = {}
    for frame in tape.frames:
        if frame.event == "task":
            task = json.loads(frame.data)
            told[task["id"]] = task
    wrong = [id for id, task in told.items() if id in tasks and task["state"] != tasks[id]["state"]]
    return wrong + [id for id in tasks if id not in told]
