"""Sends tasks as Celery's `send_task` does, natively: all of a call's tasks at once, or none."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, count

from app.broker.calls import Calls
from app.broker.commit import GroupCommit
from app.broker.errand import LARGE, PIECE, Errand
from app.broker.ids import SEED_BYTES, TAG_BYTES, tag_beginning, uuids
from app.broker.message import Submission, Writer, Written
from app.broker.transport import EVENTS_BYTES, Transport
from app.domain.errors import BadInput, Conflict, TooLarge

BATCH_LIMIT = 10_000
"""Tasks of one call: Redis does nothing else while it queues them, some 50 ms."""
TASK_BYTES = 2_000
"""Bytes of a task's message and, twice, of its event, without arguments."""
ARGUMENTS_TIMES = 4
"""How often arguments are in these, about: in base64, as they are, and as Celery's repr."""

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
        self._writer = Writer(transport)
        calls = Calls(transport, self._writer, stream, events_bytes)
        self._commit = GroupCommit(transport.url, calls)
        self._tag = tag_beginning(os.urandom(TAG_BYTES))
        self._tags = count()

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
        seed = os.urandom(SEED_BYTES)
        ids = _ids(submissions, seed)
        key, fingerprint = map(_digest, idempotency) if idempotency else ("", "")
        request = (seed.hex(), key, fingerprint)
        errand = self._errand(submissions, ids, request)
        outcome = await self._commit.run(errand)
        if outcome.kind == "conflict":
            raise Conflict("This Idempotency-Key was used for a different request.")
        if outcome.kind == "not a list":
            raise BadInput(f"{outcome.more!r} is not a queue: Redis keeps something else there.")
        # The seed is ours where a lost connection made us ask twice.
        if outcome.kind == "replayed" and outcome.more != seed.hex():
            return Published(tuple(_ids(submissions, bytes.fromhex(outcome.more))), True)
        return Published(tuple(ids))

    def _errand(
        self,
        submissions: Sequence[Submission],
        ids: Sequence[str],
        request: tuple[str, str, str],
    ) -> Errand:
        """A small one is written at once, of a large one its first piece. Raises BadInput."""
        size = _size(submissions)
        pieces = self._pieces(submissions, ids)
        if size <= LARGE:
            return Errand(list(chain.from_iterable(pieces)), pieces, (), size, *request)
        queues = {(one.queue, one.priority) for one in submissions}
        keys = sorted({self._writer.queue_key(*queue) for queue in queues})
        return Errand(next(pieces), pieces, keys, size, *request)

    def _pieces(
        self, submissions: Sequence[Submission], ids: Sequence[str]
    ) -> Iterator[list[Written]]:
        write, now, tag, tags = self._writer.write, time.time, self._tag, self._tags
        written: list[Written] = []
        for number, given in enumerate(submissions):
            try:
                written.append(write(given, ids[number], f"{tag}{next(tags):012x}", now()))
            except ValueError as error:
                raise BadInput(f"Task {number} of {given.name!r} can't be sent: {error}.") from None
            if len(written) == PIECE:
                yield written
                written = []
        if written:
            yield written


def _check_size(submissions: Sequence[Submission]) -> None:
    if not submissions:
        raise BadInput("There is no task to send.")
    if len(submissions) > BATCH_LIMIT:
        raise TooLarge(f"{len(submissions):,} tasks at once; at most {BATCH_LIMIT:,}.")


def _size(submissions: Sequence[Submission]) -> int:
    arguments = sum([len(one.args) + len(one.kwargs) for one in submissions])
    return TASK_BYTES * len(submissions) + ARGUMENTS_TIMES * arguments


def _ids(submissions: Sequence[Submission], seed: bytes) -> Sequence[str]:
    """The tasks' ids: given, or made from the seed, which is all that a replay needs to know."""
    made = uuids(seed, len(submissions))
    return [given.task_id or one for given, one in zip(submissions, made, strict=True)]


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="backslashreplace"), digest_size=20).hexdigest()
