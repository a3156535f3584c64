"""What the result backend has of a task: the true value, untruncated, as soon as it is stored.

Celery publishes each result on a channel with the name of its key, so the same document is
heard as it is stored, and can be read later. A task that ignores its result has none.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from app.broker import texts
from app.broker.careful import loads, repair
from app.broker.connection import reading
from app.broker.envelope import ABSENT
from app.broker.texts import REPR_LIMIT
from app.broker.transport import Transport
from app.domain.errors import BadInput
from app.domain.events import Json, ResultStored

RESULT_LIMIT = 8 << 20
"""Bytes of a result that are decoded; of a larger one the state alone is read."""
FETCH_AT_ONCE = 500
"""Keys of one MGET: an answer of some hundred kB as a rule, so nobody else waits for it long."""
SCAN_AT_ONCE = 500
"""Keys that one SCAN looks at: some 0.1 ms of Redis."""
SCAN_PAUSE_SECONDS = 0.005
"""Between two pages: at most 100,000 keys a second, a few per cent of a Redis."""
SCAN_LIMIT = 2_000_000
"""Keys looked at: 20 s. A database with more is not only a result backend."""
STATUS_LIMIT = 64
"""Characters of a state's name; applications invent their own."""

_BEGINNING = re.compile(rb'\{\s*"status":\s*"([A-Z_]{1,64})"')


class Stored(msgspec.Struct, gc=False):
    """The document of a result. The last six are there with Celery's `result_extended`."""

    status: str
    result: msgspec.Raw = ABSENT
    traceback: str | None = None
    date_done: str | float | None = None
    parent_id: str | None = None
    group_id: str | None = None
    name: str | None = None
    args: msgspec.Raw = ABSENT
    kwargs: msgspec.Raw = ABSENT
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None


class Raised(msgspec.Struct, gc=False):
    """An exception as Celery's JSON has it; `exc_message` is its text or its arguments."""

    exc_type: str
    exc_message: str | list[object] | None = None


class Meta(msgspec.Struct, gc=False):
    """What `update_state(meta=…)` says of progress; what STARTED says of its process."""

    current: float | None = None
    total: float | None = None
    message: str | None = None
    hostname: str | None = None


_decode = msgspec.json.Decoder(Stored).decode
_decode_raised = msgspec.json.Decoder(Raised).decode


async def fetch_results(
    redis: Redis, transport: Transport, task_ids: Sequence[str]
) -> list[ResultStored]:
    """What the backend has of these tasks now; nothing of those that it has no result of.

    `redis` is connected to the result backend. Raises BrokerUnavailable.
    """
    found: list[ResultStored] = []
    if not transport.result_url:
        return found
    for start in range(0, len(task_ids), FETCH_AT_ONCE):
        batch = task_ids[start : start + FETCH_AT_ONCE]
        with reading(transport.result_url):
            answers = await redis.mget([transport.result_key(one) for one in batch])
        heard_at = time.time()
        for task_id, answer in zip(batch, answers, strict=True):
            if isinstance(answer, bytes):
                with suppress(BadInput):
                    own = task_id.encode()
                    found.append(read_result(own, answer, heard_at, Counter(), found=True))
    return found


async def find_result_ids(
    redis: Redis, transport: Transport, cursor: int = 0
) -> AsyncIterator[tuple[int, list[str]]]:
    """Ids of all tasks that the backend has a result of, page by page, in no order.

    With each page comes the cursor to go on from, should this be broken off: 0 after the last.
    At most SCAN_LIMIT keys of the database are looked at. Raises BrokerUnavailable.
    """
    prefix = len(transport.result_key("").encode())
    seen = 0
    while transport.result_url and seen < SCAN_LIMIT:
        with reading(transport.result_url):
            answer = await redis.scan(cursor, transport.result_pattern(), SCAN_AT_ONCE)
        cursor, keys = cast(tuple[int, list[bytes]], answer)
        seen += SCAN_AT_ONCE
        yield cursor, [key[prefix:].decode("utf-8", "replace") for key in keys]
        if cursor == 0:
            return
        await asyncio.sleep(SCAN_PAUSE_SECONDS)


def read_result(
    task_id: bytes, payload: bytes, heard_at: float, reasons: Counter[str], *, found: bool = False
) -> ResultStored:
    """A stored result as the event that it is. Raises BadInput with the reason otherwise.

    A value over VALUE_LIMIT, or one that is no JSON (NaN), is left out; its beginning then
    stands in `result_repr`.
    """
    own = texts.task_id(task_id.decode("utf-8", "replace"))
    stored, shown = _decode_stored(payload, reasons)
    status = texts.name(stored.status)
    if status is None or len(status) > STATUS_LIMIT:
        raise BadInput("status missing or too long")
    args, kwargs = _argument(stored.args), _argument(stored.kwargs)
    meant = _meaning(status, stored.result)
    return ResultStored(
        task_id=own,
        at=texts.moment(texts.point_in_time(stored.date_done), heard_at),
        heard_at=heard_at,
        status=status,
        found=found,
        result=meant.result,
        result_repr=shown if status == "SUCCESS" else None,
        exception=meant.exception,
        traceback=texts.shorten_traceback(stored.traceback),
        current=meant.current,
        total=meant.total,
        message=meant.message,
        name=texts.name(stored.name),
        args=args.json,
        kwargs=kwargs.json,
        args_repr=args.repr,
        kwargs_repr=kwargs.repr,
        worker=texts.name(stored.worker) or meant.worker,
        queue=texts.name(stored.queue),
        retries=texts.count(stored.retries),
        parent_id=texts.other_id(stored.parent_id, own),
        group_id=texts.other_id(stored.group_id, own),
    )


def _decode_stored(payload: bytes, reasons: Counter[str]) -> tuple[Stored, str | None]:
    """The document, and what stands for a value in it that is not kept."""
    if len(payload) > RESULT_LIMIT:
        if beginning := _BEGINNING.match(payload):
            return Stored(status=beginning[1].decode()), f"{len(payload):,} bytes of JSON"
        raise BadInput("too large")
    try:
        stored = _decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        given = loads(payload) if payload.lstrip()[:1] == b"{" else None
        if not isinstance(given, dict):
            raise BadInput("result serializer") from None
        stored = repair(Stored, given, reasons)
        if len(texts.bytes_of(stored.result)) == 0 and "result" in given:
            return stored, texts.shorten(repr(given["result"])[: 2 * REPR_LIMIT], REPR_LIMIT)
    return stored, texts.json_excerpt(stored.result)


class _Meaning(NamedTuple):
    """What the value of a result means, which depends on the state."""

    result: Json | None = None
    exception: str | None = None
    current: float | None = None
    total: float | None = None
    message: str | None = None
    worker: str | None = None


def _meaning(status: str, value: msgspec.Raw) -> _Meaning:
    if status == "SUCCESS":
        return _Meaning(result=texts.json_text(value))
    if status in ("FAILURE", "RETRY", "REVOKED"):
        return _Meaning(exception=_exception(value))
    meta = _meta(value)
    return _Meaning(
        current=texts.amount(meta.current),
        total=texts.amount(meta.total),
        message=texts.shorten(meta.message, REPR_LIMIT),
        worker=texts.name(meta.hostname),
    )


class _Argument(NamedTuple):
    json: Json | None
    repr: str | None


NO_ARGUMENT = _Argument(None, None)


def _argument(value: msgspec.Raw) -> _Argument:
    """Arguments that the backend keeps: the values themselves, or somebody's repr of them."""
    if value is ABSENT:
        return NO_ARGUMENT
    raw = texts.json_text(value)
    if raw is None or raw == "null":
        return _Argument(None, texts.json_excerpt(value))
    if raw.startswith('"'):
        return _Argument(None, texts.shorten(str(loads(raw)), REPR_LIMIT))
    return _Argument(raw, None)


def _exception(value: msgspec.Raw) -> str | None:
    """`ValueError('no')`, as Python shows it, of the document that Celery makes of it."""
    if len(texts.bytes_of(value)) == 0:
        return None
    try:
        raised = _decode_raised(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return texts.shorten(texts.json_text(value), texts.EXCEPTION_LIMIT)
    said = raised.exc_message
    arguments = said if isinstance(said, list) else [] if said is None else [said]
    text = f"{raised.exc_type}({', '.join(repr(one) for one in arguments)})"
    return texts.shorten(text, texts.EXCEPTION_LIMIT)


def _meta(value: msgspec.Raw) -> Meta:
    """What an application says beside its own state; no more than it says in the usual words."""
    given: object = None
    with suppress(BadInput):
        given = loads(bytes(value)) if len(texts.bytes_of(value)) <= texts.VALUE_LIMIT else None
    if isinstance(given, str):
        return Meta(message=given)
    return repair(Meta, given, Counter()) if isinstance(given, dict) else Meta()
