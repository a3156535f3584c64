"""What the recorder says of itself each second, and what everybody may read of it."""

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from app.feed.times import moment

STATUS_KEY = "umbel:recorder"
STATUS_SECONDS = 5
"""A recorder that has said nothing for so long is not there: by then another has its lease."""
HEARD_KEY = "umbel:heard"
"""When a recorder last listened, in seconds since the epoch. It never expires: a recorder
that starts after a night learns from it how long nobody listened."""


class RecorderStatus(Struct, frozen=True, kw_only=True):
    """Figures of the active recorder. Times are seconds since the epoch.

    `live`: it hears the broker and the store takes what it hears; `since` when that is so (or
    not), and `reason` why not. `lag` is how long the newest kept event had waited, in seconds.
    `events`, `changes`, `dropped`, `malformed` (by reason) and `blind_windows` count since
    `started_at`; `backlog` is messages heard and not yet kept.

    Of durable events: `durable_producers` are those heard on the stream within a minute,
    `stock_workers` the online workers that are heard on pub/sub alone, `stream_lag` the age in
    seconds of what is to be read next, `stream_position` the entry that was read last, and
    `producer_dropped` the events that producers could not keep. Of healing: whether it goes on
    (`healing`), when all was `checked_at` last, how many open tasks it could not judge
    (`unchecked`) and why, and how many tasks were given up (`lost`). `token` is the recorder's
    right to write.
    """

    recorder: str
    at: float
    started_at: float
    live: bool
    since: float
    reason: str = ""
    subscribed: bool = False
    store: bool = True
    lag: float = 0.0
    backlog: int = 0
    events_per_second: float = 0.0
    events: int = 0
    changes: int = 0
    dropped: int = 0
    blind_windows: int = 0
    malformed: dict[str, int] = {}
    durable_producers: int = 0
    stock_workers: int = 0
    stream_lag: float = 0.0
    stream_position: str = ""
    producer_dropped: int = 0
    token: int = 0
    lost: int = 0
    healing: bool = False
    checked_at: float | None = None
    unchecked: int = 0
    unchecked_reason: str = ""


class _StatusJson(Struct, frozen=True, kw_only=True):
    """The status in public: a `stats` change, a part of `GET /stats`."""

    recorder: str
    at: str | None
    started_at: str | None
    live: bool
    since: str | None
    reason: str
    subscribed: bool
    store: bool
    lag_seconds: float
    backlog: int
    events_per_second: float
    events: int
    changes: int
    dropped: int
    blind_windows: int
    malformed: dict[str, int]
    durable_producers: int
    stock_workers: int
    stream_lag_seconds: float
    stream_position: str
    producer_dropped: int
    token: int
    lost: int
    healing: bool
    checked_at: str | None
    unchecked: int
    unchecked_reason: str


def encode_status(status: RecorderStatus) -> bytes:
    """The status as people and scripts read it, times in RFC 3339."""
    return msgspec.json.encode(
        _StatusJson(
            recorder=status.recorder,
            at=moment(status.at),
            started_at=moment(status.started_at),
            live=status.live,
            since=moment(status.since),
            reason=status.reason,
            subscribed=status.subscribed,
            store=status.store,
            lag_seconds=round(status.lag, 3),
            backlog=status.backlog,
            events_per_second=status.events_per_second,
            events=status.events,
            changes=status.changes,
            dropped=status.dropped,
            blind_windows=status.blind_windows,
            malformed=status.malformed,
            durable_producers=status.durable_producers,
            stock_workers=status.stock_workers,
            stream_lag_seconds=round(status.stream_lag, 3),
            stream_position=status.stream_position,
            producer_dropped=status.producer_dropped,
            token=status.token,
            lost=status.lost,
            healing=status.healing,
            checked_at=moment(status.checked_at),
            unchecked=status.unchecked,
            unchecked_reason=status.unchecked_reason,
        )
    )


async def write_status(redis: "Redis", status: RecorderStatus, listening: bool) -> None:
    """Leaves the status for all to read; while `listening`, also that somebody did."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.set(STATUS_KEY, msgspec.json.encode(status), ex=STATUS_SECONDS)
    if listening:
        pipeline.set(HEARD_KEY, repr(status.at))
    await pipeline.execute()


async def clear_status(redis: "Redis") -> None:
    """A recorder that stops says so: nobody has to wait until its last word expires."""
    await redis.delete(STATUS_KEY)


async def read_status(redis: "Redis") -> RecorderStatus | None:
    """What the active recorder last said; None where none is there."""
    found = await redis.get(STATUS_KEY)
    return None if found is None else msgspec.json.decode(found, type=RecorderStatus)


async def last_heard(redis: "Redis") -> float | None:
    """When a recorder last listened; None where that isn't known."""
    found = await redis.get(HEARD_KEY)
    try:
        return None if found is None else float(found)
    except ValueError:
        return None
