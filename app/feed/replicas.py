"""Which processes of Umbel are at work on this feed, and which recorder leads.

Each writes its own entry every other second; one that falls silent is no longer there. Their
times are Redis's, so that a machine whose clock is off neither vanishes nor stays for ever.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import Literal, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from app.domain.errors import FeedUnavailable
from app.feed.lease import LEASE_KEY, name_of
from app.feed.stream import end_if_cancelled, feed_errors

REPLICAS_KEY = "umbel:replicas"
SAY_SECONDS = 2.0
"""Between two words of one process: one small command."""
SILENT_SECONDS = 10
"""Four words missed in a row: it was killed, frozen or cut off. The key itself goes with the
last of them."""
LIMIT = 1_000
"""Entries kept; more are not shown. A process that is restarted all the time has a new one each."""
SWEEP_EVERY = 15
"""Words between two removals of silent ones by the same process: each looks at all entries."""
GOODBYE_SECONDS = 0.5
"""Patience when stopping with a Redis that does not answer: the entry then goes by itself."""

_SAY = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local own = cjson.decode(ARGV[2])
own['at'] = now
local new = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
if new or ARGV[3] == '1' then
  local entries = redis.call('HGETALL', KEYS[1])
  for place = 1, #entries, 2 do
    local whole, entry = pcall(cjson.decode, entries[place + 1])
    local at = whole and type(entry) == 'table' and tonumber(entry['at']) or 0
    if now - at > tonumber(ARGV[4]) then redis.call('HDEL', KEYS[1], entries[place]) end
  end
end
if new and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(own))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class Replica(Struct, frozen=True, kw_only=True):
    """One process. `leads`: it holds the lease of the active recorder. `started_at` is by its own
    clock and `at`, when it last spoke, by Redis's; seconds since the epoch."""

    name: str
    role: Literal["web", "recorder"]
    host: str
    pid: int
    version: str
    started_at: float
    at: float = 0.0
    leads: bool = False


def this_process(role: Literal["web", "recorder"]) -> Replica:
    """This process as it registers itself."""
    host, pid = socket.gethostname(), os.getpid()
    return Replica(
        name=f"{host}:{pid}",
        role=role,
        host=host,
        pid=pid,
        version=version("umbel"),
        started_at=time.time(),
    )


async def stay_registered(redis: "Redis", replica: Replica) -> None:
    """Keeps an entry up to date until cancelled, then takes it away."""
    words = 0
    try:
        while True:
            end_if_cancelled()
            with suppress(FeedUnavailable):
                await _say(redis, replica, sweep=words % SWEEP_EVERY == 0)
            words += 1
            await asyncio.sleep(SAY_SECONDS)
    finally:
        with suppress(FeedUnavailable):
            async with feed_errors(), asyncio.timeout(GOODBYE_SECONDS):
                await redis.hdel(REPLICAS_KEY, replica.name)


async def read_replicas(redis: "Redis") -> list[Replica]:
    """Who is there now: the leader first, then the other recorders, then who serves.

    Raises FeedUnavailable.
    """
    asked = redis.pipeline(transaction=False)
    asked.time()
    asked.hgetall(REPLICAS_KEY)
    asked.get(LEASE_KEY)
    async with feed_errors():
        (seconds, micros), entries, holder = await asked.execute()
    since = seconds + micros / 1e6 - SILENT_SECONDS
    leader = name_of(holder.decode(errors="replace")) if holder else ""
    found = [_marked(replica, leader) for replica in _decoded(entries.values())]
    there = [replica for replica in found if replica.at >= since]
    return sorted(there, key=lambda each: (not each.leads, each.role, each.name))


async def _say(redis: "Redis", replica: Replica, *, sweep: bool) -> None:
    known = [replica.name, msgspec.json.encode(replica), str(int(sweep))]
    async with feed_errors():
        limits = (str(SILENT_SECONDS), str(LIMIT))
        await redis.eval(_SAY, 1, REPLICAS_KEY, *cast(list[str], known), *limits)


def _decoded(entries: Iterable[bytes]) -> Iterable[Replica]:
    for entry in entries:
        # Of another version, or of somebody else.
        with suppress(msgspec.DecodeError):
            yield msgspec.json.decode(entry, type=Replica)


def _marked(replica: Replica, leader: str) -> Replica:
    """With what the lease says: an entry can't know that its process was replaced meanwhile."""
    leads = replica.role == "recorder" and replica.name == leader
    return msgspec.structs.replace(replica, leads=leads)
