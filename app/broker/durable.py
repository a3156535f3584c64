"""Durable events: a Redis Stream that workers with the plugin write, read by position.

Each entry names its producer, the number of its first event and the events as Celery's own JSON,
so reading one costs no envelope and no base64. docs/protocol.md has the whole format.
"""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import structlog
from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from app.broker import careful
from app.broker.transport import Transport, database_of, same_server
from app.broker.wire import decode_events
from app.domain.errors import BadInput, BrokerUnavailable
from app.domain.events import Event

STREAM = "umbel:events"
"""The stream of an application without a `global_keyprefix`."""
BEGINNING = "0-0"
"""The position of a reader that has read nothing yet."""
ENTRIES = 1_000_000
"""Entries that a writer leaves in the stream at most, where Redis does not tell its size."""
TRIM_TO = 0.95
"""Share of the bound that is left when a stream that grew over it is cut."""
READ_ENTRIES = 1_000
"""Entries of one read, while they are small."""
READ_BYTES = 4 << 20
"""Bytes of events that a read is aimed at, judged by the one before it. The first one after
many small entries can be more, up to the size of the stream."""
FIRST_READ = 50
"""Entries of the first read, of which nothing is known yet: 25 MiB if all are as large as the
plugin makes them."""
BLOCK_SECONDS = 1.0
"""A read waits this long for an entry; shorter than clients wait for an answer."""
ANSWER_SECONDS = 3.0
"""A Redis that takes longer for its answer, after what a read waits, counts as away."""
ENTRY_LIMIT = 32 << 20
"""Bytes of one entry's events. Umbel's plugin stays below 2 MiB."""
PRODUCER_LIMIT = 400
"""Bytes of a producer's name: a host's has 255 at most, and a worker's before it."""
NUMBER_LIMIT = 1 << 53

# How many entries stand at the position (1 or 0), how many in all, and the server's clock.
_LOOK = (
    "local t = redis.call('TIME') return {#redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]), "
    "redis.call('XLEN', KEYS[1]), t[1] .. '.' .. string.format('%06d', t[2])}"
)

log = structlog.get_logger()


class Entry(NamedTuple):
    """One entry as Redis gives it: its id, names and values in turn, and when it was added."""

    id: bytes
    fields: Sequence[bytes]
    heard_at: float

    @property
    def size(self) -> int:
        """Bytes of what is read of it."""
        return sum(map(len, self.fields))


class Words(NamedTuple):
    """Events of one producer, in order. `number` is the first one's; 0 where it has none.

    `total` is how many there were, also of those that could not be understood; `dropped` how many
    of its events the producer could not keep so far.
    """

    producer: str
    number: int
    total: int
    heard_at: float
    events: Sequence[Event]
    dropped: int = 0


@dataclass(slots=True)
class Look:
    """The stream at a moment: whether the entry at our position still stands in it, and how many
    entries there are."""

    stands: bool
    entries: int


def stream_key(transport: Transport) -> str:
    """The stream that this application's plugins write."""
    prefix = transport.global_keyprefix
    return f"{STREAM}:{prefix}" if prefix else STREAM


def stream_beside_queues(transport: Transport, url: str) -> str | None:
    """The stream, where Umbel's own Redis at `url` is the broker's very database: only there can
    a task's message and its event be written in one step. None elsewhere."""
    there = url or transport.url
    beside = same_server(there, transport.url) and database_of(there) == transport.database
    return stream_key(transport) if beside else None


class EventStream:
    """One connection that reads the stream from `position` on.

    `drained`: the last read left nothing behind. `ahead`: seconds that Redis's clock is ahead of
    ours. Its methods raise BrokerUnavailable where Redis is away or has something else at the
    key; then `close` it, and go on with another.
    """

    def __init__(self, redis: Redis, key: str, position: str = BEGINNING) -> None:
        self.key = key
        self.position = position
        self.ahead = 0.0
        self.drained = False
        self._redis = redis
        self._connection: AbstractConnection | None = None
        self._count = FIRST_READ

    async def look(self) -> Look:
        """What is at the position now; also learns how far Redis's clock is ahead of ours."""
        [answer] = await self._ask([self._look_command()], ANSWER_SECONDS)
        return self._looked(answer)

    async def read(self, block: float = BLOCK_SECONDS) -> tuple[list[Entry], Look]:
        """Entries after the position, which moves on; none where none came within `block` s.

        The look is taken after them: where the entry at the old position stands, nothing
        between it and these was cut off.
        """
        wait = ("BLOCK", max(1, int(block * 1000)))
        asked = self._count
        command = ("XREAD", "COUNT", asked, *wait, "STREAMS", self.key, self.position)
        look = self._look_command()
        found, looked = await self._ask([command, look], block + ANSWER_SECONDS)
        seen = self._looked(looked)
        now = time.time()
        entries = [
            Entry(id, fields or (), min(now, moment_of(id) - self.ahead))
            for id, fields in (found[0][1] if found else ())
        ]
        self.drained = len(entries) < asked
        if entries:
            self.position = entries[-1].id.decode()
            size = sum(entry.size for entry in entries) / len(entries)
            self._count = max(1, min(READ_ENTRIES, int(READ_BYTES / (size + 1))))
        return entries, seen

    async def memory(self) -> int:
        """Bytes that the stream takes of Redis, as far as that can be told."""
        [answer] = await self._ask([("MEMORY", "USAGE", self.key)], ANSWER_SECONDS)
        return int(answer or 0)

    async def trim(self, before: str) -> None:
        """Removes entries older than `before`; Redis leaves some of them where that is faster."""
        await self._ask([("XTRIM", self.key, "MINID", "~", before)], ANSWER_SECONDS)

    async def keep(self, entries: int) -> None:
        """Removes the oldest, until about so many are left."""
        await self._ask([("XTRIM", self.key, "MAXLEN", "~", entries)], ANSWER_SECONDS)

    async def close(self) -> None:
        """Lets go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)

    def _look_command(self) -> tuple[Any, ...]:
        return ("EVAL", _LOOK, 1, self.key, self.position)

    def _looked(self, answer: Sequence[int | bytes]) -> Look:
        stands, entries, clock = answer
        self.ahead = float(clock) - time.time()
        at_beginning = self.position == BEGINNING
        return Look(bool(stands) or at_beginning, int(entries))

    async def _ask(self, commands: Sequence[tuple[Any, ...]], patience: float) -> list[Any]:
        """Answers to commands written at once, as hiredis gives them. One use at a time."""
        try:
            connection = self._connection
            if connection is None:
                connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
                self._connection = connection
            await connection.send_packed_command([pack_command(each) for each in commands])
            # Its own timeout would give None, which is also what an empty read is answered with.
            async with asyncio.timeout(patience):
                return [
                    await connection.read_response(disable_decoding=True, timeout=math.inf)
                    for _ in commands
                ]
        except BaseException as error:
            # Half an answer may still be under way: nobody may use this connection again.
            await self.close()
            if isinstance(error, RedisError | OSError | EOFError):
                said = f"{type(error).__name__}: {error}".rstrip(": .")
                raise BrokerUnavailable(f"{self.key} can't be read: {said}") from error
            raise


def moment_of(id: bytes | str) -> float:
    """When an entry was added, by Redis's clock, in seconds since the epoch."""
    milliseconds, _, _ = (id.decode() if isinstance(id, bytes) else id).partition("-")
    return int(milliseconds) / 1000


@dataclass(slots=True)
class Reading:
    """What entries meant, in order; what was refused or repaired, by reason."""

    words: list[Words] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


_AS_WRITTEN = [b"p", b"n", b"e"]


def read_entries(entries: Iterable[Entry]) -> Reading:
    """The events of these entries. Never raises, whatever stands in them."""
    found = Reading()
    for entry in entries:
        try:
            _, fields, heard_at = entry
            if list(fields[:5:2]) != _AS_WRITTEN or len(fields) < 6:
                found.words.append(_read_carefully(entry, found.reasons))
                continue
            wired = decode_events(fields[5])
            events = [one.event(heard_at) for one in wired]
            dropped = _number(fields[7]) if len(fields) == 8 and fields[6] == b"d" else 0
            producer, number = _producer(fields[1]), _number(fields[3])
            words = Words(producer, number, len(wired), heard_at, events, dropped)
            found.words.append(words)
        except (msgspec.MsgspecError, ValueError, RecursionError, BadInput):
            _save(entry, found)
        except Exception:
            # The promise of this function: no stranger's entry ever stops the recorder.
            found.reasons["unexpected"] += 1
            log.exception("durable.unexpected", entry=entry.id)
    return found


def _save(entry: Entry, found: Reading) -> None:
    try:
        found.words.append(_read_carefully(entry, found.reasons))
    except BadInput as error:
        found.reasons[str(error)] += 1
    except Exception:
        found.reasons["unexpected"] += 1
        log.exception("durable.unexpected", entry=entry.id)


def _read_carefully(entry: Entry, reasons: Counter[str]) -> Words:
    """The slow way, for what is not as the plugin writes it nearly always."""
    given = dict(zip(entry.fields[::2], entry.fields[1::2], strict=False))
    if b"e" not in given:
        raise BadInput("not an entry of events")
    body = given[b"e"]
    if len(body) > ENTRY_LIMIT:
        raise BadInput("too large")
    decoded = careful.loads(body)
    every = decoded if isinstance(decoded, list) else [decoded]
    return Words(
        _producer(given.get(b"p", b"")),
        _number(given.get(b"n", b"")),
        len(every),
        entry.heard_at,
        list(careful.read_events(every, entry.heard_at, reasons)),
        _number(given.get(b"d", b"")),
    )


@lru_cache(maxsize=8192)
def _producer(named: bytes) -> str:
    """The name as text that any database takes; empty where it can't be one."""
    try:
        name = named.decode()
    except UnicodeDecodeError:
        return ""
    return name if len(named) <= PRODUCER_LIMIT and name.isprintable() else ""


def _number(numbered: bytes) -> int:
    if numbered.isdigit() and len(numbered) <= 16 and (number := int(numbered)) < NUMBER_LIMIT:
        return number
    return 0


class Mark(NamedTuple):
    """What a published message says of its twin on the stream.

    `host` is the JSON of the producer's hostname; `number` its first event's, 0 for none;
    `of_worker`: it tells of a worker, not of tasks.
    """

    host: bytes
    number: int
    of_worker: bool


_MARK = b', "umbel": '
_HOST = b'"headers": {"hostname": '
_OF_WORKER = b'"routing_key": "worker.'
_TAIL = 1_600
"""Bytes at the end of a message in which its headers and properties stand."""


def read_mark(payload: bytes) -> Mark | None:
    """What marks a published message as also written to the stream; None where nothing does."""
    at = payload.rfind(_MARK, -_TAIL)
    if at < 0:
        return None
    start = payload.rfind(_HOST, 0, at)
    end = payload.find(b"}", at)
    number = payload[at + len(_MARK) : end]
    if start < 0 or not number.isdigit() or len(number) > 16:
        return None
    host = payload[start + len(_HOST) : at]
    return Mark(host, int(number), payload.find(_OF_WORKER, end) >= 0)


def host_of(producer: str) -> bytes:
    """A producer's hostname, quoted."""
    return quoted(producer.rsplit("|", 2)[0])


def quoted(hostname: str) -> bytes:
    """A hostname as JSON, as marks have it."""
    return json.dumps(hostname).encode()
