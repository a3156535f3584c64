"""Celery's remote control, spoken natively: ask workers, tell workers, leave nothing behind.

Celery's own client waits out its whole timeout, because it can't know how many workers will
answer. On Redis the PUBLISH says how many heard, so this one stops as soon as all of them have
answered. Docs of the wire: docs/protocol.md, "Remote control".
"""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.broker.connection import reading
from app.broker.transport import Transport
from app.domain.events import Json

ASK_TIMEOUT = 1.0
"""Seconds to wait for answers: Celery's own default. A busy solo worker won't answer in it."""
PING_TIMEOUT = 2.0
"""Seconds until a worker that does not answer a ping counts as silent."""
READ_AT_ONCE = 500
"""Answers taken from the reply list in one call after the first; a fleet is rarely larger."""
LATE_REPLY_SECONDS = 10
"""How long the reply list outlives a question that some worker left unanswered: an answer that
was on its way then falls into a list that expires, and not into one that stays for ever."""
CLEAN_UP_SECONDS = 1.0
"""For taking the names of a question away again, whatever becomes of whoever asked; with a Redis
that does not answer they stay until they are swept up."""
CANCEL_AGAIN_SECONDS = 0.1
REPLY_GRACE = 60.0
"""Seconds past its end after which a question that is still bound was left by a killed process."""
REPLY_PREFIX = "umbel-ask"
"""What the names of our reply queues begin with, so that we sweep ours and nobody else's."""

_clock = count(1)


async def broadcast(
    redis: Redis,
    transport: Transport,
    method: str,
    arguments: Mapping[str, object],
    *,
    destination: Sequence[str] | None = None,
) -> int:
    """Tell workers to do something and want no answer; how many of them heard it.

    All workers hear it, and those that are not in `destination` ignore it. Raises
    BrokerUnavailable.
    """
    channel, message = encode_command(transport, method, arguments, destination)
    with reading(transport.url):
        async with redis.pipeline(transaction=True) as pipe:
            pipe.publish(channel, message)
            pipe.pubsub_numsub(channel)
            return _workers(*await pipe.execute())


def encode_command(
    transport: Transport,
    method: str,
    arguments: Mapping[str, object],
    destination: Sequence[str] | None = None,
) -> tuple[str, bytes]:
    """The channel, and what to publish on it, to tell workers something without an answer."""
    envelope = _envelope(transport, _command(method, arguments, destination), timeout=None)
    return transport.control_channel(), envelope


async def ask(
    redis: Redis,
    transport: Transport,
    method: str,
    arguments: Mapping[str, object],
    *,
    destination: Sequence[str] | None = None,
    timeout: float = ASK_TIMEOUT,  # noqa: ASYNC109 - of the question, not of the coroutine
) -> dict[str, Json]:
    """What workers answer, by worker name, as JSON text; `{"error": …}` where one could not.

    Returns when all that heard have answered, at the latest after `timeout` seconds. Who did
    not answer in time (a solo worker in the middle of a task) is absent. Raises
    BrokerUnavailable.
    """
    answers, _ = await ask_all(
        redis, transport, method, arguments, destination=destination, timeout=timeout
    )
    return answers


async def ask_all(
    redis: Redis,
    transport: Transport,
    method: str,
    arguments: Mapping[str, object],
    *,
    destination: Sequence[str] | None = None,
    timeout: float = ASK_TIMEOUT,  # noqa: ASYNC109 - as for ask
) -> tuple[dict[str, Json], bool]:
    """The same, and whether everybody has answered who is there. Raises BrokerUnavailable."""
    with reading(transport.url):
        return await _Question(redis, transport, timeout).put(method, arguments, destination)


async def ask_each(
    redis: Redis, transport: Transport, methods: Sequence[str]
) -> list[dict[str, Json]]:
    """The answers to several questions without arguments, asked at once, in their order.

    Raises BrokerUnavailable.
    """
    # Without exceptions as results it would not wait for the others when one fails or when it is
    # cancelled, and these would go on with a connection that is closed next.
    asked = [ask(redis, transport, method, {}) for method in methods]
    answers: list[dict[str, Json]] = []
    for found in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
        answers.append(found)
    return answers


async def ping(
    redis: Redis,
    transport: Transport,
    workers: Iterable[str],
    timeout: float = PING_TIMEOUT,  # noqa: ASYNC109 - as for ask
) -> set[str]:
    """Which of these workers answer a ping within `timeout` seconds. Raises BrokerUnavailable."""
    names = list(workers)
    if not names:
        return set()
    return set(await ask(redis, transport, "ping", {}, destination=names, timeout=timeout))


async def sweep_replies(redis: Redis, transport: Transport) -> int:
    """Remove what questions of killed Umbel processes left bound; how many there were.

    Only names of our own are touched, and only those whose time was over a while ago.
    Raises BrokerUnavailable.
    """
    with reading(transport.url):
        members = await redis.smembers(_binding_key(transport))
        dead = [member for member in members if _is_ours_and_over(member, transport, time.time())]
        if dead:
            lists = [transport.key(_text(member).split(transport.sep)[-1]) for member in dead]
            async with redis.pipeline(transaction=True) as pipe:
                pipe.srem(_binding_key(transport), *dead)
                pipe.delete(*lists)
                await pipe.execute()
        return len(dead)


class _Question:
    """One question: its reply queue is bound before it is asked and gone when it is over."""

    def __init__(self, redis: Redis, transport: Transport, timeout: float) -> None:
        self._redis = redis
        self._transport = transport
        self._timeout = timeout
        self._ticket = str(uuid.uuid4())
        over = int(time.time() + timeout) + 1
        self._route = f"{REPLY_PREFIX}-{over}-{uuid.uuid4()}"
        _, self._member, self._list = reply_keys(transport, self._route)

    async def put(
        self, method: str, arguments: Mapping[str, object], destination: Sequence[str] | None
    ) -> tuple[dict[str, Json], bool]:
        transport = self._transport
        command = _command(method, arguments, destination)
        command["ticket"] = self._ticket
        command["reply_to"] = {
            "exchange": _reply_exchange(transport),
            "routing_key": self._route,
        }
        envelope = _envelope(transport, command, timeout=self._timeout)
        answers: dict[str, Json] = {}
        complete = False
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.sadd(_binding_key(transport), self._member)
                pipe.publish(transport.control_channel(), envelope)
                pipe.pubsub_numsub(transport.control_channel())
                _, *told = await pipe.execute()
            heard = _workers(*told)
            wanted = min(heard, len(set(destination))) if destination else heard
            complete = await self._collect(answers, wanted)
            return answers, complete
        finally:
            await _finish(self._clean_up(complete), CLEAN_UP_SECONDS)

    async def _collect(self, answers: dict[str, Json], wanted: int) -> bool:
        deadline = time.monotonic() + self._timeout
        while len(answers) < wanted:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            first = await self._redis.brpop([self._list], timeout=max(0.01, min(left, 0.5)))
            if first is None:
                continue
            more = await self._redis.rpop(self._list, READ_AT_ONCE) or []
            for raw in (first[1], *more):
                answers.update(read_reply(raw, self._ticket))
        return True

    async def _clean_up(self, complete: bool) -> None:
        # Names that stay because Redis is away are swept up later.
        with suppress(RedisError, OSError, EOFError):
            await self._remove(complete)

    async def _remove(self, complete: bool) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.srem(_binding_key(self._transport), self._member)
            if complete:
                pipe.delete(self._list)
            else:
                pipe.lpush(self._list, b"")
                pipe.expire(self._list, LATE_REPLY_SECONDS)
            await pipe.execute()


async def _finish(work: Coroutine[None, None, None], patience: float) -> None:
    """Has it done also for a caller that is cancelled, who hears of that after it.

    The caller closes the connection next: work that went on by itself would open another one.
    """
    working = asyncio.create_task(work)
    deadline = time.monotonic() + patience
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        if time.monotonic() >= deadline:
            working.cancel()
        try:
            await asyncio.wait((working,), timeout=CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def reply_keys(transport: Transport, route: str) -> tuple[str, bytes, str]:
    """The set of bound reply queues, what stands in it for this one, and the queue's own list."""
    queue = f"{route}.{_reply_exchange(transport)}"
    member = transport.sep.join((route, "", queue)).encode()
    return _binding_key(transport), member, transport.key(queue)


def encode_reply(
    transport: Transport, ticket: str, route: str, body: Mapping[str, object]
) -> bytes:
    """An answer as workers give it; `body` has it by the name of who answers."""
    headers = {"ticket": ticket, "clock": next(_clock)}
    return _message(body, headers, {"exchange": _reply_exchange(transport), "routing_key": route})


def read_reply(raw: bytes, ticket: str) -> dict[str, Json]:
    """The answers in one message of a reply queue; none if it isn't one for this ticket."""
    try:
        message = json.loads(raw)
        if message["headers"].get("ticket") != ticket:
            return {}
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        if message.get("content-type") != "application/json":
            return {}
        return _split(body)
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _split(body: str | bytes) -> dict[str, Json]:
    """Worker to answer, each answer as the very text that it came as."""
    try:
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return {worker: bytes(answer).decode() for worker, answer in found.items()}
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Lone surrogates and NaN, which Python's json lets through and msgspec does not.
        return {worker: json.dumps(answer) for worker, answer in json.loads(body).items()}


def _workers(heard: int, listeners: list[tuple[bytes, int]]) -> int:
    """Workers subscribe by pattern; who does so by the channel's name is one of us, and mute."""
    return max(0, int(heard) - sum(int(number) for _, number in listeners))


def _command(
    method: str, arguments: Mapping[str, object], destination: Sequence[str] | None
) -> dict[str, object]:
    return {
        "method": method,
        "arguments": dict(arguments),
        "destination": None if destination is None else list(destination),
        "pattern": None,
        "matcher": None,
    }


def _envelope(transport: Transport, command: Mapping[str, object], timeout: float | None) -> bytes:
    headers = {"clock": next(_clock), "expires": time.time() + timeout if timeout else 0}
    to = {"exchange": f"{transport.control_exchange}.pidbox", "routing_key": ""}
    return _message(command, headers, to)


def _message(
    body: Mapping[str, object], headers: Mapping[str, object], to: Mapping[str, str]
) -> bytes:
    properties = {
        "delivery_mode": 2,
        "delivery_info": to,
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    envelope = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(envelope).encode()


def _reply_exchange(transport: Transport) -> str:
    return f"reply.{transport.control_exchange}.pidbox"


def _binding_key(transport: Transport) -> str:
    return transport.binding_key(_reply_exchange(transport))


def _is_ours_and_over(member: bytes | str, transport: Transport, now: float) -> bool:
    route = _text(member).split(transport.sep)[0]
    prefix, _, rest = route.partition(f"{REPLY_PREFIX}-")
    over = rest.partition("-")[0]
    return not prefix and over.isdigit() and now > int(over) + REPLY_GRACE


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw
