"""Sends tasks as Celery's `send_task` does, natively: one script for all of a call's tasks."""

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, shake_128

from app.broker.commit import GroupCommit
from app.broker.durable import EVENTS_BYTES, STREAM
from app.broker.errand import Errand
from app.broker.ledger import SUBMITTED, SUBMITTED_BYTES, SUBMITTED_ORDER
from app.broker.message import Submission, Writer, Written
from app.broker.script import IDEMPOTENCY, IDEMPOTENCY_ORDER
from app.broker.transport import Transport
from app.domain.errors import BadInput, Conflict, TooLarge

BATCH_LIMIT = 10_000
"""Tasks of one call: Redis does nothing else while it queues them, some 100 ms."""
WRITTEN_AT_ONCE = 200
"""Messages written before others get their turn on the event loop: some 3 ms."""
EVENTS_AT_ONCE = 100
"""Events of one `task-multi` message; stock workers send up to 24, receivers take any number."""
EVENT_BYTES = 512 * 1024
"""Bytes of one `task-multi` message, for a receiver decodes it in one go."""

CHECK_BYTES = 1 << 20
"""Bytes written to the stream of durable events before its size is looked at again."""

_VARIANT = {digit: "89ab"[int(digit, 16) >> 2] for digit in "0123456789abcdef"}

__all__ = ["BATCH_LIMIT", "Published", "Publisher", "Submission"]


@dataclass(frozen=True, slots=True)
class Published:
    """The ids of the tasks sent, in order. `replayed`: sent by an earlier call with this key."""

    task_ids: tuple[str, ...]
    replayed: bool = False


class Publisher:
    """Sends tasks to one application's queues. Open it before, close it after.

    `stream` is the key of the durable events, in the broker's own database; without one, what is
    sent is published alone. It is kept below `events_bytes`.
    """

    def __init__(
        self, transport: Transport, stream: str | None = None, events_bytes: int = EVENTS_BYTES
    ) -> None:
        kinds = ("task-sent", "task-multi")
        self._channels = {kind: transport.event_channel(kind) for kind in kinds}
        self._writer = Writer(transport)
        self._stream = stream
        self._events_bytes = events_bytes
        self._producer = f"{self._writer.origin}|{os.getpid()}|{os.urandom(4).hex()}"
        self._unchecked = 0
        self._commit = GroupCommit(transport.url)

    async def open(self) -> None:
        """Begin. Redis need not be there: each call says so by itself if it isn't."""
        self._commit.start()

    async def close(self) -> None:
        """Let go of the connection. Calls on their way are told that nothing was sent."""
        await self._commit.close()

    async def check(self, since: float) -> None:
        """Look whether Redis answers, before much is prepared for a request that came at `since`
        (of the monotonic clock). Raises BrokerUnavailable within 2 s of that."""
        await self._commit.check(since)

    async def publish(
        self,
        submissions: Sequence[Submission],
        *,
        idempotency: tuple[str, str] | None = None,
    ) -> Published:
        """Send these tasks, in order, all or none.

        `idempotency` is the caller's key and a fingerprint of the request: within a day, the
        same key and request give the same ids and nothing more is sent. Raises
        BrokerUnavailable within 2 s of trying, and then nothing will be sent; Conflict where
        the key was used for another request; BadInput, TooLarge.
        """
        _check_size(submissions)
        seed = os.urandom(16)
        written = await self._write(submissions, seed)
        errand = self._errand(written, seed, idempotency)
        outcome = await self._commit.run(errand)
        if outcome.kind == "conflict":
            raise Conflict("This Idempotency-Key was used for a different request.")
        if outcome.kind == "not a list":
            raise BadInput(f"{outcome.more!r} is not a queue: Redis keeps something else there.")
        # The seed is ours where a lost connection made us ask twice.
        if outcome.kind == "replayed" and outcome.more != seed.hex():
            return Published(tuple(_ids(submissions, bytes.fromhex(outcome.more))), True)
        return Published(tuple(one.task_id for one in written))

    def _errand(
        self, written: Sequence[Written], seed: bytes, idempotency: tuple[str, str] | None
    ) -> Errand:
        queues: dict[str, list[bytes]] = {}
        for one in written:
            queues.setdefault(one.queue_key, []).append(one.message)
        events = self._events(written, _uuid(seed.hex())[:24])
        key, fingerprint = map(_digest, idempotency) if idempotency else ("", "")
        arguments: list[bytes | str] = [key, fingerprint, seed.hex()]
        arguments += [str(len(events)), str(len(written)), *self._streaming(events)]
        arguments += [str(len(messages)) for messages in queues.values()]
        arguments += [message for messages in queues.values() for message in messages]
        arguments += [part for event in events for part in event]
        arguments += [part for one in written for part in (one.task_id, one.entry)]
        own = (SUBMITTED, SUBMITTED_ORDER, SUBMITTED_BYTES, IDEMPOTENCY, IDEMPOTENCY_ORDER)
        return Errand((*own, self._stream or STREAM, *queues), arguments, sum(map(len, arguments)))

    def _streaming(self, events: Sequence[tuple[str, bytes, str]]) -> tuple[str, str]:
        """Who writes to the stream, and its bound where that is to be looked at."""
        if self._stream is None:
            return "", "0"
        self._unchecked += sum(len(streamed) for _, _, streamed in events)
        if self._unchecked < CHECK_BYTES:
            return self._producer, "0"
        self._unchecked = 0
        return self._producer, str(self._events_bytes)

    async def _write(self, submissions: Sequence[Submission], seed: bytes) -> list[Written]:
        # Random throughout: before Redis 7, Lua hashed each thirtieth character of a long text.
        tags = os.urandom(16 * len(submissions)).hex()
        written: list[Written] = []
        for number, (given, task_id) in enumerate(
            zip(submissions, _ids(submissions, seed), strict=True)
        ):
            if number and number % WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            tag = _uuid(tags, 32 * number)
            try:
                written.append(self._writer.write(given, task_id, tag, time.time()))
            except ValueError as error:
                raise BadInput(f"Task {number} of {given.name!r} can't be sent: {error}.") from None
        return written

    def _events(self, written: Sequence[Written], tag: str) -> list[tuple[str, bytes, str]]:
        """Channel and payload: one `task-sent`, or `task-multi` lists of many; and the same for
        the stream."""
        if len(written) == 1:
            kind, bodies = "task-sent", [written[0].event]
        else:
            kind, bodies = "task-multi", list(_lists(one.event for one in written))
        streams, found = self._stream is not None, []
        for number, body in enumerate(bodies, len(written)):
            payload = self._writer.envelope(body, kind, f"{tag}{number:012x}", streams)
            entry = (body if body.startswith("[") else f"[{body}]") if streams else ""
            found.append((self._channels[kind], payload, entry))
        return found


def _check_size(submissions: Sequence[Submission]) -> None:
    if not submissions:
        raise BadInput("There is no task to send.")
    if len(submissions) > BATCH_LIMIT:
        raise TooLarge(f"{len(submissions):,} tasks at once; at most {BATCH_LIMIT:,}.")


def _lists(events: Iterable[str]) -> Iterable[str]:
    together: list[str] = []
    size = 0
    for event in events:
        if together and (len(together) == EVENTS_AT_ONCE or size + len(event) > EVENT_BYTES):
            yield f"[{', '.join(together)}]"
            together, size = [], 0
        together.append(event)
        size += len(event)
    yield f"[{', '.join(together)}]"


def _ids(submissions: Sequence[Submission], seed: bytes) -> Iterable[str]:
    """The tasks' ids: given, or made from the seed, which is all that a replay needs to know."""
    text = shake_128(seed).hexdigest(16 * len(submissions))
    for number, given in enumerate(submissions):
        yield given.task_id or _uuid(text, 32 * number)


def _uuid(text: str, at: int = 0) -> str:
    """32 random hexadecimal digits as a UUID of version 4, which is what Celery's ids are."""
    return (
        f"{text[at : at + 8]}-{text[at + 8 : at + 12]}-4{text[at + 13 : at + 16]}-"
        f"{_VARIANT[text[at + 16]]}{text[at + 17 : at + 20]}-{text[at + 20 : at + 32]}"
    )


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="backslashreplace"), digest_size=20).hexdigest()
