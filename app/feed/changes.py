"""One change of what is believed, as the feed carries it."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["task", "worker", "queue", "stats", "reset"]


class Change(NamedTuple):
    """`id` is the feed's id `ms-seq`; it is empty where the feed itself is gone (a reset).

    `data` is JSON: a task's summary, a worker, a queue, the recorder's status; for a reset,
    why there is a gap: `{"reason": "…"}`.
    """

    id: str
    kind: Kind
    data: bytes


def frame_of(change: Change) -> bytes:
    """The change as one Server-Sent Event.

    A line break in JSON is white space between tokens, and would end the event's data line.
    """
    data = change.data
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    head = f"id: {change.id}\n" if change.id else ""
    return b"%bevent: %b\ndata: %b\n\n" % (head.encode(), change.kind.encode(), data)


def reset(feed_id: str, reason: str) -> Change:
    """What readers get in place of changes that can't be had: they read the state anew."""
    return Change(feed_id, "reset", msgspec.json.encode({"reason": reason}))


def id_order(feed_id: str) -> tuple[int, int]:
    """What feed ids are ordered by. Raises ValueError for what isn't one."""
    milliseconds, _, sequence = feed_id.partition("-")
    numbers = milliseconds + sequence
    if not (milliseconds and sequence and numbers.isascii() and numbers.isdigit()):
        raise ValueError(f"{feed_id[:60]!r} is not a feed id")
    return int(milliseconds), int(sequence)


class Kept(NamedTuple):
    """A change as the store keeps it until it is announced. Of a task it has only the id, as text:
    the row that stands beside it says the rest, in a twentieth of the bytes."""

    id: str
    kind: Kind
    data: bytes | str


def pack_changes(changes: Sequence[Change], task_ids: Iterable[str]) -> bytes:
    """Changes as the store keeps them; `task_ids` are those of the tasks in them, in order."""
    ids = iter(task_ids)
    return _pack([(id, kind, next(ids) if kind == "task" else data) for id, kind, data in changes])


def unpack_changes(data: bytes) -> list[Kept]:
    """What `pack_changes` kept. Raises ValueError for other bytes."""
    kept = [Kept(*each) for each in _unpack(data)]
    if not all(isinstance(each.data, bytes | str) for each in kept):
        raise ValueError("not what is kept of changes")
    return kept


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, Kind, Any]]).decode
