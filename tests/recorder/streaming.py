"""Writes durable events as the plugin does, by docs/protocol.md."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from app.broker.subscription import Heard
from app.broker.transport import Transport
from tests.recorder.support import event_message

KEY = "umbel:events"


class Producing:
    """A process that writes events into the stream, and publishes them marked if `publishes`."""

    def __init__(
        self,
        redis: "Redis",
        transport: Transport,
        hostname: str = "w1@test",
        publishes: bool = False,
        key: str = KEY,
    ) -> None:
        self.name = f"{hostname}|4711|{secrets.token_hex(4)}"
        self.number = 1
        self._redis = redis
        self._transport = transport
        self._hostname = hostname
        self._publishes = publishes
        self._key = key

    async def say(self, *events: dict[str, object]) -> str:
        """Writes one entry with these events; its id."""
        told = [{"hostname": self._hostname, "pid": 4711, **event} for event in events]
        number, self.number = self.number, self.number + len(told)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(self._key, self.fields(number, told))
        if self._publishes:
            for offset, event in enumerate(told):
                message = marked(event_message(self._transport, event), number + offset)
                pipeline.publish(message.channel.decode(), message.payload)
        id, *_ = await pipeline.execute()
        return str(id.decode())

    def drop(self, events: int) -> None:
        """Could not keep so many events: their numbers are used up."""
        self.number += events

    def fields(self, number: int, events: Sequence[object]) -> dict[Any, Any]:
        """An entry as it is written."""
        return {"p": self.name, "n": number, "e": json.dumps(events)}


def marked(message: Heard, number: int) -> Heard:
    """The same message, marked as written to the stream too."""
    envelope = json.loads(message.payload)
    envelope["headers"]["umbel"] = number
    return message._replace(payload=json.dumps(envelope).encode())


def heartbeat(at: float, **more: object) -> dict[str, object]:
    """A sign of life."""
    return {"type": "worker-heartbeat", "timestamp": at, "freq": 2.0, "active": 0, **more}
