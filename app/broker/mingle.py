"""Telling workers what is revoked before they take their first message.

A Celery worker that starts says `hello` to all others, and takes over what they know to be
revoked. We listen as one more of them, and answer with the ledger. Whoever starts with
`--without-mingle` doesn't ask. Docs of the wire: docs/protocol.md, "Revoke ledger".
"""

import base64
import socket
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from app.broker.connection import reading
from app.broker.control import encode_reply, reply_keys
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable

QUIET_SECONDS = 1.0
"""After so long without a word it is asked whether Redis is still there."""
QUIET_LIMIT = 3
"""Of those in a row, after which it counts as gone."""
ROUTE_LIMIT = 255
"""Characters of the name of a reply queue; Celery's are UUIDs."""

# A worker that has stopped waiting has taken its queue with it; a list must not come after it.
_ANSWER = """
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], 60)
return 1
"""


class Hello(NamedTuple):
    """A worker that has just come asks what it should know."""

    worker: str
    ticket: str
    route: str


class ReplyTo(msgspec.Struct, gc=False):
    """Where an answer is wanted."""

    exchange: str
    routing_key: str


class Command(msgspec.Struct, gc=False):
    """A message on the control exchange, as far as a hello has it."""

    method: str
    arguments: dict[str, object] | None = None
    destination: list[str] | None = None
    ticket: str | None = None
    reply_to: ReplyTo | None = None


_decode_envelope = msgspec.json.Decoder(dict[str, object]).decode
_decode_command = msgspec.json.Decoder(Command).decode


async def hear_hellos(redis: Redis, transport: Transport) -> AsyncIterator[Hello]:
    """Hellos from now on; ends by raising BrokerUnavailable.

    It subscribes by the channel's name, where workers do so by pattern: that is how our own
    questions know how many workers heard them.
    """
    channel = transport.control_channel()
    async with redis.pubsub() as listener:
        with reading(transport.url):
            await listener.subscribe(channel)
            quiet = 0
            while quiet < QUIET_LIMIT:
                message = await listener.get_message(timeout=QUIET_SECONDS)
                if message is None:
                    quiet += 1
                    await listener.ping()
                    continue
                quiet = 0
                if message["type"] == "message" and (hello := read_hello(message["data"])):
                    yield hello
    raise BrokerUnavailable("Redis does not answer on the control channel.")


async def answer_hello(
    redis: Redis, transport: Transport, hello: Hello, revoked: Sequence[str]
) -> bool:
    """Tell a worker what is revoked, the latest last; False where it no longer waits.

    Raises BrokerUnavailable.
    """
    # Without a clock in it, as we have no Lamport clock that would help the worker.
    body = {f"umbel@{socket.gethostname()}": {"revoked": list(revoked)}}
    binding, member, queue = reply_keys(transport, hello.route)
    message = encode_reply(transport, hello.ticket, hello.route, body)
    with reading(transport.url):
        return bool(await redis.eval(_ANSWER, 2, binding, queue, member, message))


def read_hello(payload: bytes) -> Hello | None:
    """The hello that a message on the control channel is; None for everything else."""
    try:
        body = _decode_envelope(payload)["body"]
        command = _decode_command(base64.b64decode(str(body)))
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError):
        return None
    to, asks = command.reply_to, command.method == "hello" and not command.destination
    if not asks or to is None or not command.ticket or len(to.routing_key) > ROUTE_LIMIT:
        return None
    worker = str((command.arguments or {}).get("from_node", ""))
    return Hello(worker, command.ticket, to.routing_key)
