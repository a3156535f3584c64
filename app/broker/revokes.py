"""The ledger of revokes: what people asked for, until a worker says that it is so.

Celery's workers keep revokes in their memory. One that restarts has forgotten them, and one that
starts later never heard of them; both would run the task. Docs of the keys: docs/protocol.md,
"Revoke ledger".
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from app.broker.connection import reading
from app.broker.control import encode_command
from app.broker.transport import Transport

REVOKES = "umbel:revokes"
"""Hash: task id to what was asked for it."""
REVOKES_ORDER = "umbel:revokes:order"
"""Sorted set: task ids by when it was asked, in Redis's own clock."""
REVOKES_LIMIT = 50_000
"""Entries kept at most, the oldest go first: as many as a Celery worker remembers; some 15 MB."""
REVOKES_SECONDS = 30 * 24 * 3600
"""How long an entry is kept that no worker ever says a word about."""
READ_AT_ONCE = 500
"""Entries read with one command."""
CLEARED_AT_ONCE = 1_000
"""Entries that are too old or too many, taken away with one command: some ms of Redis."""

# An entry is there before a worker can have heard of it, so none is told what nobody keeps. No
# two have the same time, whatever the clock does: who was told up to one misses none after it.
_KEEP = """
redis.replicate_commands()
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
if last and now <= tonumber(last) then
  now = last + 0.000001
end
local at = string.format('%.6f', now)
redis.call('HSET', KEYS[1], ARGV[1], '{"at": ' .. at .. ', ' .. ARGV[2])
redis.call('ZADD', KEYS[2], at, ARGV[1])
local over = math.min(redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3]), tonumber(ARGV[4]))
if over > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, over - 1)
  redis.call('ZREM', KEYS[2], unpack(oldest))
  redis.call('HDEL', KEYS[1], unpack(oldest))
end
local heard = redis.call('PUBLISH', ARGV[5], ARGV[6])
local listeners = redis.call('PUBSUB', 'NUMSUB', ARGV[5])[2]
return {math.max(heard - listeners, 0), math.max(over, 0)}
"""

_PRUNE = """
redis.replicate_commands()
local before = redis.call('TIME')[1] - ARGV[1]
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', before, 'LIMIT', 0, ARGV[2])
if #old > 0 then
  redis.call('ZREM', KEYS[2], unpack(old))
  redis.call('HDEL', KEYS[1], unpack(old))
end
return #old
"""


class Revoke(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: not to run a task, or with `terminate` to end it also while it runs.

    `at` is in seconds since the epoch, by Redis's clock; `queue` is where the task was sent to,
    as far as that was known; `by` is who asked.
    """

    at: float = 0.0
    terminate: bool = False
    signal: str | None = None
    queue: str | None = None
    by: str = ""
    task_id: str = ""


class Kept(NamedTuple):
    """How many workers heard a revoke, and how many old ones had to go to make room for it."""

    heard: int
    dropped: int


_decode = msgspec.json.Decoder(Revoke).decode


async def keep_and_send(redis: Redis, transport: Transport, revoke: Revoke) -> Kept:
    """Write a revoke to the ledger and tell all workers, in one step. Raises BrokerUnavailable."""
    rest = {
        "terminate": revoke.terminate,
        "signal": revoke.signal,
        "queue": revoke.queue,
        "by": revoke.by,
    }
    arguments = {
        "task_id": revoke.task_id,
        "terminate": revoke.terminate,
        "signal": revoke.signal or "SIGTERM",
    }
    channel, message = encode_command(transport, "revoke", arguments)
    limits = (REVOKES_LIMIT, CLEARED_AT_ONCE)
    given = (revoke.task_id, json.dumps(rest)[1:], *limits, channel, message)
    with reading(transport.url):
        heard, dropped = await redis.eval(_KEEP, 2, REVOKES, REVOKES_ORDER, *given)
    return Kept(int(heard), int(dropped))


async def read_revokes(
    redis: Redis, transport: Transport, after: float = 0.0
) -> AsyncIterator[list[Revoke]]:
    """What was asked after that moment, oldest first, page by page. Raises BrokerUnavailable."""
    while True:
        with reading(transport.url):
            answer = await redis.zrangebyscore(
                REVOKES_ORDER, f"({after:.6f}", "+inf", 0, READ_AT_ONCE, withscores=True
            )
            page = cast(list[tuple[bytes, float]], answer)
            ids = [task_id for task_id, _ in page]
            entries = await redis.hmget(REVOKES, ids) if ids else []
        found = [_read(*pair) for pair in zip(ids, entries, strict=True)]
        yield [revoke for revoke in found if revoke is not None]
        if len(page) < READ_AT_ONCE:
            return
        after = page[-1][1]


async def revoked_ids(redis: Redis, transport: Transport) -> list[str]:
    """The tasks that are revoked, the latest last. Raises BrokerUnavailable."""
    with reading(transport.url):
        ids = cast(list[bytes], await redis.zrange(REVOKES_ORDER, 0, -1))
    return [one.decode("utf-8", "replace") for one in ids]


async def count_revokes(redis: Redis, transport: Transport) -> int:
    """How many are kept. Raises BrokerUnavailable."""
    with reading(transport.url):
        return int(await redis.zcard(REVOKES_ORDER))


async def forget(redis: Redis, transport: Transport, task_ids: Sequence[str]) -> int:
    """Their tasks have ended; how many of these were kept. Raises BrokerUnavailable."""
    forgotten = 0
    for start in range(0, len(task_ids), READ_AT_ONCE):
        page = task_ids[start : start + READ_AT_ONCE]
        with reading(transport.url):
            async with redis.pipeline(transaction=True) as pipe:
                pipe.hdel(REVOKES, *page)
                pipe.zrem(REVOKES_ORDER, *page)
                gone, _ = await pipe.execute()
        forgotten += int(gone)
    return forgotten


async def prune_revokes(redis: Redis, transport: Transport) -> int:
    """Take away what is older than REVOKES_SECONDS; how many. Raises BrokerUnavailable."""
    pruned = 0
    while True:
        with reading(transport.url):
            limits = (REVOKES_SECONDS, CLEARED_AT_ONCE)
            gone = int(await redis.eval(_PRUNE, 2, REVOKES, REVOKES_ORDER, *limits))
        pruned += gone
        if gone < CLEARED_AT_ONCE:
            return pruned


def _read(task_id: bytes, entry: bytes | str | None) -> Revoke | None:
    """None for what somebody else has put there."""
    try:
        return msgspec.structs.replace(_decode(entry or b""), task_id=task_id.decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
