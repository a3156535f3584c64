"""The scripts by which tasks are sent: all of them or none, once, and not too late.

`SEND` does it all for a few tasks. Lua copies and hashes all that it is given, which for many
tasks takes longer than to queue them: those are sent by a transaction, between `CHECK`, which
says whether it may begin, and `KEEP`, which is its last step but one.
"""

from hashlib import sha1
from string import Template

from app.broker.durable import ENTRIES, TRIM_TO
from app.broker.ledger import LEDGER_BYTES, LEDGER_SECONDS, LEDGER_TASKS

IDEMPOTENCY = "umbel:idempotency"
"""Hash: digest of an idempotency key to when it was used, for which request, the ids' seed."""
IDEMPOTENCY_ORDER = "umbel:idempotency:order"
"""List, oldest first: when, 0, which key."""
IDEMPOTENCY_SECONDS = 24 * 3600
"""How long the same key gives the same answer."""
IDEMPOTENCY_LIMIT = 100_000
"""Keys kept at most, the oldest go first: some 25 MB, and one a second around the clock."""
GUARD = "umbel:sending:"
"""Beginning of the key that lives as long as a transaction may still be carried out."""
UNPACK = 1_000
"""Values passed to one command; Lua's stack holds some 8,000."""
FIRST_LOOK = 2
"""Oldest entries looked at before more are: a full ledger makes room for one task by one entry."""

# What all of them are given.
# KEYS: the ledger's hash, order and bytes; the idempotency hash and order; the stream of durable
#   events; in CHECK the guard; in SEND and CHECK queue lists.
# ARGV: 1 deadline (microseconds of this server's clock), 2 "1" when sent again after the
#   connection was lost, 3 idempotency key or "", 4 fingerprint of the request, 5 seed of the
#   ids, 6 the first task's id, 7 its ledger entry, 8 producer of durable events or "" where
#   there is no stream, 9 the stream's bound in bytes or "0" where it need not be looked at.
_TRIM = """
local function trim(hash, order, size, oldest, count, room)
  local length = redis.call('LLEN', order)
  -- The first look is a short one: nearly always there is nothing to take away.
  local last = $first_look - 1
  while length > 0 do
    local heads = redis.call('LRANGE', order, 0, last)
    last = $unpack - 1
    local gone = {}
    for _, head in ipairs(heads) do
      local when, weight, field = string.match(head, '^(%d+) (%d+) (.*)$$')
      if tonumber(when) >= oldest and length <= count and size <= room then
        break
      end
      gone[#gone + 1] = field
      size = size - tonumber(weight)
      length = length - 1
    end
    if #gone > 0 then
      redis.call('HDEL', hash, unpack(gone))
      redis.call('LTRIM', order, #gone, -1)
    end
    if #gone < #heads then
      break
    end
  end
  return size
end
"""

# Returns {what happened, this server's clock, more}.
_CHECK = """
-- Redis 6 allows writes after TIME only then.
redis.replicate_commands()
local clock = redis.call('TIME')
local at = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local stamp = string.format('%.0f', at)
if at > tonumber(ARGV[1]) then
  return {'late', stamp, ''}
end

if ARGV[3] ~= '' then
  trim(KEYS[4], KEYS[5], 0, at - $idempotency_seconds * 1000000, $idempotency_limit - 1, 0)
  local kept = redis.call('HGET', KEYS[4], ARGV[3])
  if kept then
    local fingerprint, seed = string.match(kept, '^(%S+) (%S+)$$')
    if fingerprint ~= ARGV[4] then
      return {'conflict', stamp, ''}
    end
    return {'replayed', stamp, seed}
  end
elseif ARGV[2] == '1' then
  if redis.call('HGET', KEYS[1], ARGV[6]) == ARGV[7] then
    return {'sent', stamp, ''}
  end
end

local lists = #KEYS - $own
for i = 1, lists do
  local kind = redis.call('TYPE', KEYS[$own + i])['ok']
  if kind ~= 'list' and kind ~= 'none' then
    return {'not a list', stamp, KEYS[$own + i]}
  end
end
"""

# Needs: at, stamp, and size, of what the ledger's hash has now.
_KEEP = """
size = trim(KEYS[1], KEYS[2], size, at - $ledger_seconds * 1000000, $ledger_tasks, $ledger_bytes)
redis.call('SET', KEYS[3], string.format('%.0f', size), 'EX', $ledger_seconds)
redis.call('EXPIRE', KEYS[1], $ledger_seconds)
redis.call('EXPIRE', KEYS[2], $ledger_seconds)
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[3], ARGV[4] .. ' ' .. ARGV[5])
  redis.call('RPUSH', KEYS[5], stamp .. ' 0 ' .. ARGV[3])
  redis.call('EXPIRE', KEYS[4], $idempotency_seconds)
  redis.call('EXPIRE', KEYS[5], $idempotency_seconds)
end

local bound = tonumber(ARGV[9])
local bytes = bound > 0 and redis.pcall('MEMORY', 'USAGE', KEYS[6])
if type(bytes) == 'number' and bytes > bound then
  local length = redis.pcall('XLEN', KEYS[6])
  if type(length) == 'number' then
    redis.call('XTRIM', KEYS[6], 'MAXLEN', '~', math.floor(length * $trim_to * bound / bytes))
  end
end
"""

# ARGV: 10 how many events, 11 how many tasks; how many messages for each queue list; then the
#   messages, (channel, published event, streamed events) triples, (task id, ledger entry) pairs.
_SEND = """
local events, tasks = tonumber(ARGV[10]), tonumber(ARGV[11])
local messages_from = 12 + lists
local events_from = messages_from
for i = 1, lists do
  events_from = events_from + tonumber(ARGV[11 + i])
end
local tasks_from = events_from + 3 * events

local function in_pieces(first, last, act)
  while first <= last do
    local to = math.min(first + $unpack - 1, last)
    act(first, to)
    first = to + 1
  end
end

-- Our own keys first: should one of them fail, then nothing has been sent.
local size = tonumber(redis.call('GET', KEYS[3]) or '0')
local order = {}
for i = tasks_from, tasks_from + 2 * tasks - 1, 2 do
  size = size + #ARGV[i + 1]
  order[#order + 1] = stamp .. ' ' .. #ARGV[i + 1] .. ' ' .. ARGV[i]
end
in_pieces(tasks_from, tasks_from + 2 * tasks - 1, function(first, last)
  redis.call('HSET', KEYS[1], unpack(ARGV, first, last))
end)
in_pieces(1, tasks, function(first, last)
  redis.call('RPUSH', KEYS[2], unpack(order, first, last))
end)
"""

_QUEUE = """
-- Something else at the stream's place fails alone: its readers say so, and hear what is published.
if ARGV[8] ~= '' then
  for i = events_from, tasks_from - 1, 3 do
    redis.pcall('XADD', KEYS[6], 'MAXLEN', '~', $entries, '*',
      'p', ARGV[8], 'n', '0', 'e', ARGV[i + 2])
  end
end
local from = messages_from
for i = 1, lists do
  local to = from + tonumber(ARGV[11 + i]) - 1
  in_pieces(from, to, function(first, last)
    redis.call('LPUSH', KEYS[6 + i], unpack(ARGV, first, last))
  end)
  from = to + 1
end
for i = events_from, tasks_from - 1, 3 do
  redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
end
return {'sent', stamp, ''}
"""

# Wrong kinds of our own keys have to fail here: a transaction is carried out to its end.
# Watching the guard from now on, the transaction does nothing once it has expired.
_BEGIN = """
redis.call('HLEN', KEYS[1])
redis.call('LLEN', KEYS[2])
redis.call('HLEN', KEYS[4])
redis.call('LLEN', KEYS[5])
redis.call('GET', KEYS[3])
local place = redis.call('TYPE', KEYS[6])['ok']
redis.call('SET', KEYS[7], '')
redis.call('PEXPIREAT', KEYS[7], string.format('%.0f', math.floor(tonumber(ARGV[1]) / 1000)))
return {'go', stamp, (place == 'stream' or place == 'none') and '1' or ''}
"""

# ARGV: 10 the stamp that CHECK gave, 11 bytes of the entries that were added.
_RESUME = """
local stamp = ARGV[10]
local at = tonumber(stamp)
local size = tonumber(redis.call('GET', KEYS[3]) or '0') + tonumber(ARGV[11])
"""

LIMITS: dict[str, int | float] = {
    "unpack": UNPACK,
    "first_look": FIRST_LOOK,
    "entries": ENTRIES,
    "trim_to": TRIM_TO,
    "idempotency_seconds": IDEMPOTENCY_SECONDS,
    "idempotency_limit": IDEMPOTENCY_LIMIT,
    "ledger_seconds": LEDGER_SECONDS,
    "ledger_tasks": LEDGER_TASKS,
    "ledger_bytes": LEDGER_BYTES,
}


class Script:
    """A script's text and the digest by which Redis knows it once it was loaded."""

    def __init__(self, *parts: str, own: int = 6, **limits: int) -> None:
        self.text = Template("".join(parts)).substitute({**LIMITS, **limits}, own=own)
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def send_script(**limits: int) -> Script:
    """`SEND`, with other limits than those that stand here."""
    return Script(_TRIM, _CHECK, _SEND, _KEEP, _QUEUE, **limits)


SEND = send_script()
CHECK = Script(_TRIM, _CHECK, _BEGIN, own=7)
KEEP = Script(_TRIM, _RESUME, _KEEP)
