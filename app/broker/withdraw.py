"""Taking a revoked task's message back, so that no worker to come can run it.

It waits in its queue, or is kept for a worker that is gone. Only a person's explicit request
gets here, and only the messages of revoked tasks are touched.
"""

import asyncio
import base64
import json
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.broker.connection import reading
from app.broker.durable import ENTRIES, stream_key
from app.broker.message import Writer
from app.broker.revokes import REVOKES, REVOKES_ORDER
from app.broker.transport import Transport

PAGE = 500
"""Messages read at once: some 0.5 MB."""
SEARCHED = 20_000
"""Messages of a list that are searched, those handed out next first: some 100 ms of Redis."""
PAUSE_SECONDS = 0.02
"""After each page of a search that nobody waits for: at most 25,000 messages a second, a tenth of
a Redis."""
UNACKED_PAGE = 100
"""Entries that one HSCAN of the handed-out messages is asked for; each holds a whole message."""

# The removal, the end of the entry in the ledger, and the event that tells of it stand or fall
# together. A recorder that is away reads the event in the stream, where one is kept here: under
# no producer's name, as it is told twice to one that listens, which changes nothing.
_TELL = """
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[4])
  if redis.call('EXISTS', KEYS[4]) == 1 then
    redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*', 'e', ARGV[5])
  end
  return 1
end
return 0
"""
_TAKE_WAITING = "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then" + _TELL
_TAKE_ORPHAN = (
    """
local tag, before = ARGV[7], tonumber(ARGV[8])
local handed_out = redis.call('ZSCORE', KEYS[5], tag)
if redis.call('HGET', KEYS[1], tag) == ARGV[1]
    and (not handed_out or tonumber(handed_out) < before) then
  redis.call('HDEL', KEYS[1], tag)
  redis.call('ZREM', KEYS[5], tag)
"""
    + _TELL
)


class Headers(msgspec.Struct, gc=False):
    """Celery's headers of a task message, as far as they matter here."""

    id: str
    group: str | None = None
    parent_id: str | None = None
    ignore_result: bool | None = None


class Message(msgspec.Struct, gc=False):
    """A message in a queue."""

    body: str
    headers: Headers


class Withdrawn(NamedTuple):
    """A task whose message is taken back, with what its result should say of it."""

    task_id: str
    parent_id: str | None
    group_id: str | None
    keeps_result: bool


class Search(NamedTuple):
    """Tasks whose messages were taken back, and tasks whose messages were seen and are left.

    `complete`: all there is was searched.
    """

    taken: list[Withdrawn]
    left: set[str]
    complete: bool


class Orphan(NamedTuple):
    """A message that was handed out: its tag, and the entry that holds it."""

    tag: bytes
    entry: bytes
    message: Message


class HandedOut(NamedTuple):
    """Messages that may be orphans, unless a worker holds them; the rest is as in `Search`."""

    orphans: list[Orphan]
    left: set[str]
    complete: bool


_decode = msgspec.json.Decoder(Message).decode
_decode_unacked = msgspec.json.Decoder(tuple[Message, str | None, str | None]).decode
_FOREIGN = (msgspec.MsgspecError, ValueError, RecursionError)


async def withdraw(
    redis: Redis,
    transport: Transport,
    task_ids: Collection[str],
    queues: Iterable[str],
    *,
    pause: float = 0.0,
) -> Search:
    """Remove these tasks' messages from these queues, and tell so by `task-revoked` events.

    Left are members of a chord, which only a worker can end, and what was handed out meanwhile.
    `pause` is in seconds, after each page. Raises BrokerUnavailable.
    """
    search = Search([], set(), True)
    with reading(transport.url):
        for queue in dict.fromkeys(queues):
            for key in transport.queue_keys(queue):
                whole = await _withdraw_from(redis, transport, key, task_ids, search, pause)
                search = search._replace(complete=search.complete and whole)
    return search


async def _withdraw_from(
    redis: Redis,
    transport: Transport,
    key: str,
    task_ids: Collection[str],
    search: Search,
    pause: float,
) -> bool:
    """Whether the whole list was searched."""
    read = 0
    while read < SEARCHED:
        try:
            page = cast(list[bytes], await redis.lrange(key, -read - PAGE, -read - 1))
        except ResponseError:  # no list: not a queue, whatever its name
            return True
        read += len(page)
        for raw in reversed(page):
            message = _read(raw, task_ids)
            if message is None:
                continue
            keys = (key, REVOKES, REVOKES_ORDER, stream_key(transport))
            if _in_chord(message):
                search.left.add(message.headers.id)
            elif await redis.eval(_TAKE_WAITING, 4, *keys, raw, *_told(transport, message)):
                search.taken.append(_withdrawn(message))
                read -= 1
            else:
                search.left.add(message.headers.id)
        if len(page) < PAGE:
            return True
        await asyncio.sleep(pause)
    return False


async def find_handed_out(
    redis: Redis, transport: Transport, task_ids: Collection[str]
) -> HandedOut:
    """These tasks' messages that were handed out and not acknowledged. Raises BrokerUnavailable."""
    found = HandedOut([], set(), True)
    cursor, seen = 0, 0
    with reading(transport.url):
        while seen < SEARCHED:
            try:
                answer = await redis.hscan(transport.unacked_key(), cursor, count=UNACKED_PAGE)
            except ResponseError:  # somebody keeps something else under that name
                return found
            cursor, page = cast(tuple[int, dict[bytes, bytes]], answer)
            seen += len(page)
            for tag, entry in page.items():
                message = _read(entry, task_ids, handed_out=True)
                if message is None:
                    continue
                found.left.add(message.headers.id)
                if not _in_chord(message):
                    found.orphans.append(Orphan(tag, entry, message))
            if cursor == 0:
                return found
            await asyncio.sleep(PAUSE_SECONDS)
    return found._replace(complete=False)


async def withdraw_orphans(
    redis: Redis, transport: Transport, orphans: Iterable[Orphan], before: float
) -> list[Withdrawn]:
    """The same for messages that were handed out before that moment, to workers that are gone.

    Raises BrokerUnavailable.
    """
    taken = []
    own = (REVOKES, REVOKES_ORDER, stream_key(transport))
    keys = (transport.unacked_key(), *own, transport.unacked_index_key())
    with reading(transport.url):
        for tag, entry, message in orphans:
            told = _told(transport, message)
            if await redis.eval(_TAKE_ORPHAN, 5, *keys, entry, *told, tag, before):
                taken.append(_withdrawn(message))
    return taken


def _read(raw: bytes, task_ids: Collection[str], *, handed_out: bool = False) -> Message | None:
    """The message, if it is of one of these tasks."""
    if len(task_ids) == 1 and json.dumps(next(iter(task_ids))).encode() not in raw:
        return None
    try:
        message = _decode_unacked(raw)[0] if handed_out else _decode(raw)
    except _FOREIGN:
        return None
    return message if message.headers.id in task_ids else None


def _in_chord(message: Message) -> bool:
    """A chord's body waits for all of its members; that one won't come, a worker has to say."""
    try:
        return json.loads(base64.b64decode(message.body))[2]["chord"] is not None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return message.headers.group is not None


def _withdrawn(message: Message) -> Withdrawn:
    headers = message.headers
    return Withdrawn(headers.id, headers.parent_id, headers.group, not headers.ignore_result)


def _told(transport: Transport, message: Message) -> tuple[str, str, str, str, int]:
    """The task's id, and the event that says that it was revoked: the channel and what to publish
    there, and what to append to the stream, with the entries that this may have.
    """
    writer, task_id = Writer(transport), message.headers.id
    event = writer.event(
        "task-revoked", time.time(), uuid=task_id, terminated=False, signum=None, expired=False
    )
    envelope = writer.envelope(event, "task-revoked", task_id)
    return task_id, transport.event_channel("task-revoked"), envelope, f"[{event}]", ENTRIES
