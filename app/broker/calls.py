"""What Redis is asked: one script for the errands of a moment, one transaction for a large one."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from app.broker.durable import ENTRIES, STREAM
from app.broker.errand import Errand
from app.broker.ids import TAG_BYTES, tag_beginning
from app.broker.ledger import SUBMITTED, SUBMITTED_BYTES, SUBMITTED_ORDER
from app.broker.message import Writer, Written
from app.broker.script import GUARD, IDEMPOTENCY, IDEMPOTENCY_ORDER, KEEP
from app.broker.transport import Transport

EVENTS_AT_ONCE = 100
"""Events of one `task-multi` message; stock workers send up to 24, receivers take any number."""
EVENT_BYTES = 512 * 1024
"""Bytes of one `task-multi` message, for a receiver decodes it in one go."""
CHECK_BYTES = 1 << 20
"""Bytes written to the stream of durable events before its size is looked at again."""

OWN = (SUBMITTED, SUBMITTED_ORDER, SUBMITTED_BYTES, IDEMPOTENCY, IDEMPOTENCY_ORDER)

_KINDS = ("task-sent", "task-multi")


class Event(NamedTuple):
    """Events of one message: where it is published, how, and how it stands on the stream."""

    channel: str
    published: str
    streamed: str


class Call:
    """Errands that are carried out together, and what a script is given to do so."""

    def __init__(self, errands: Sequence[Errand]) -> None:
        self.errands = errands
        self.keys: Sequence[str] = ()
        self.arguments: Sequence[str] = ()
        self.sent_before = False

    @property
    def deadline(self) -> float:
        """When Redis may no longer carry it out, by our monotonic clock."""
        return min(errand.deadline for errand in self.errands)


class Calls:
    """Makes calls, as the producer of an application's events.

    `stream` is the key of the durable events, which are kept below `events_bytes`.
    """

    def __init__(
        self, transport: Transport, writer: Writer, stream: str | None, events_bytes: int
    ) -> None:
        self._channels = {kind: transport.event_channel(kind) for kind in _KINDS}
        self._writer = writer
        self._stream = stream
        self._events_bytes = events_bytes
        self._unchecked = 0
        unique = os.urandom(4).hex()
        self._producer = "" if stream is None else f"{writer.origin}|{os.getpid()}|{unique}"
        self._own = (*OWN, stream or STREAM)
        self.guard = f"{GUARD}{unique}"

    def for_script(self, errands: Sequence[Errand]) -> Call:
        """The call of the script that does it all."""
        call = Call(errands)
        written = [one for errand in errands for one in errand.written]
        queues = _by_queue(written)
        events = self._events(written)
        call.keys = (*self._own, *queues)
        call.arguments = [
            *self._common(errands[0], self._bound(_streamed(events))),
            str(len(events)),
            str(len(written)),
            *[str(len(messages)) for messages in queues.values()],
            *chain.from_iterable(queues.values()),
            *[part for event in events for part in event],
            *_entries(written),
        ]
        return call

    def for_transaction(self, errand: Errand) -> Call:
        """The call of the script that says whether the transaction may begin."""
        call = Call([errand])
        call.keys = (*self._own, self.guard, *errand.queues)
        call.arguments = [*self._common(errand, "0")]
        return call

    def transaction(self, errand: Errand, stamp: str, streamed: bool) -> Iterator[Sequence[str]]:
        """Its steps but for the last, after the script gave it this stamp: tasks are written
        while Redis takes in those before them. `streamed` False: something else stands at the
        stream's place."""
        yield ("MULTI",)
        added = appended = 0
        for piece in errand.pieces():
            ids, entries = [one.task_id for one in piece], [one.entry for one in piece]
            sizes = list(map(len, entries))
            added += sum(sizes)
            yield ["HSET", SUBMITTED, *chain.from_iterable(zip(ids, entries, strict=True))]
            order = [f"{stamp} {size} {one}" for size, one in zip(sizes, ids, strict=True)]
            yield ["RPUSH", SUBMITTED_ORDER, *order]
            for queue, messages in _by_queue(piece).items():
                yield ["LPUSH", queue, *messages]
            for event in (events := self._events(piece)):
                if streamed and self._stream is not None:
                    yield self._addition(event)
                yield ("PUBLISH", event.channel, event.published)
            appended += _streamed(events)
        own, common = self._own, self._common(errand, self._bound(appended))
        yield ("EVAL", KEEP.text, str(len(own)), *own, "", "", *common, stamp, str(added))
        yield ("DEL", self.guard)

    def _addition(self, event: Event) -> Sequence[str]:
        bound = ("XADD", self._own[-1], "MAXLEN", "~", str(ENTRIES), "*")
        return (*bound, "p", self._producer, "n", "0", "e", event.streamed)

    def _common(self, errand: Errand, bound: str) -> tuple[str, ...]:
        """What all scripts are told after the deadline and the resend mark."""
        first = errand.written[0]
        request = (errand.key, errand.fingerprint, errand.seed)
        return (*request, first.task_id, first.entry, self._producer, bound)

    def _bound(self, appended: int) -> str:
        """The stream's bound where its size is to be looked at, once so much is appended."""
        self._unchecked += appended
        if self._unchecked < CHECK_BYTES:
            return "0"
        self._unchecked = 0
        return str(self._events_bytes)

    def _events(self, written: Sequence[Written]) -> list[Event]:
        """One `task-sent`, or `task-multi` lists of many."""
        streams = self._stream is not None
        if len(written) == 1:
            kind, bodies = "task-sent", [written[0].event]
        else:
            kind, bodies = "task-multi", list(_lists([one.event for one in written]))
        found: list[Event] = []
        tag = tag_beginning(os.urandom(TAG_BYTES))
        for number, body in enumerate(bodies):
            payload = self._writer.envelope(body, kind, f"{tag}{number:012x}", streams)
            entry = (body if body.startswith("[") else f"[{body}]") if streams else ""
            found.append(Event(self._channels[kind], payload, entry))
        return found


def _streamed(events: Iterable[Event]) -> int:
    return sum([len(event.streamed) for event in events])


def _by_queue(written: Sequence[Written]) -> dict[str, list[str]]:
    if len({one.queue_key for one in written}) == 1:
        return {written[0].queue_key: [one.message for one in written]}
    queues: dict[str, list[str]] = {}
    for one in written:
        queues.setdefault(one.queue_key, []).append(one.message)
    return queues


def _entries(written: Sequence[Written]) -> list[str]:
    return [part for one in written for part in (one.task_id, one.entry)]


def _lists(events: Sequence[str]) -> Iterator[str]:
    if len(events) <= EVENTS_AT_ONCE and sum(map(len, events)) <= EVENT_BYTES:
        yield f"[{', '.join(events)}]"
        return
    together: list[str] = []
    size = 0
    for event in events:
        if together and (len(together) == EVENTS_AT_ONCE or size + len(event) > EVENT_BYTES):
            yield f"[{', '.join(together)}]"
            together, size = [], 0
        together.append(event)
        size += len(event)
    yield f"[{', '.join(together)}]"
