"""A stream of events as real workers publish it: recorded once a run, published again at will."""

import asyncio
import base64
import json
import os
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio

from benchmarks import stack

TASKS = 1_000
"""Enough for the mixture of batches that real workers send under load."""


SLICE = 0.01
"""Seconds between two writes of a published stream."""
_SENDER = f"""
from worker.tasks import add
for number in range({TASKS}):
    add.delay(number, 1)
"""


@dataclass(frozen=True)
class Message:
    """One PUBLISH of a worker: its channel and the events in it."""

    channel: bytes
    envelope: dict  # type: ignore[type-arg]
    events: list[dict]  # type: ignore[type-arg]
    listed: bool


async def record(folder: Path, broker_url: str) -> list[Message]:
    """What one prefork worker and its producer publish while 1,000 small tasks run."""
    client = redis.asyncio.Redis.from_url(broker_url, protocol=2)
    heard: list[Message] = []
    async with client.pubsub() as pubsub:
        await pubsub.psubscribe("/0.celeryev/*")
        with stack.worker(folder, broker_url, "-c", "2"):
            sender = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _SENDER, env={**os.environ, "UMBEL_BROKER_URL": broker_url}
            )
            ended = 0
            async for found in pubsub.listen():
                if found["type"] != "pmessage":
                    continue
                message = _read(found["channel"], found["data"])
                ended += sum(event["type"] == "task-succeeded" for event in message.events)
                if message.events[0]["type"].startswith("task-"):
                    heard.append(message)
                if ended >= TASKS:
                    break
            await sender.wait()
    await client.aclose()
    return heard


def again(messages: Iterable[Message], copies: int) -> tuple[list[list[bytes]], int]:
    """The stream `copies` times, each with tasks of its own, as RESP; how many events that is.

    One list of commands a copy; times of events begin now, so that nothing looks old.
    """
    found: list[list[bytes]] = []
    count = 0
    last = max(event["timestamp"] for message in messages for event in message.events)
    for _ in range(copies):
        ids: dict[str, str] = {}
        shift = time.time() - last
        commands = []
        for message in messages:
            events = [_renamed(event, ids, shift) for event in message.events]
            count += len(events)
            body = json.dumps(events if message.listed else events[0])
            envelope = {**message.envelope, "body": base64.b64encode(body.encode()).decode()}
            commands.append(publish(message.channel, json.dumps(envelope).encode()))
        found.append(commands)
    return found, count


def publish(channel: bytes, payload: bytes) -> bytes:
    """`PUBLISH` as it goes over the wire."""
    head = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n" % (len(channel), channel, len(payload))
    return head + payload + b"\r\n"


async def play(port: int, commands: Iterable[bytes], rate: float) -> None:
    """Publishes at so many messages a second, evenly; returns when Redis has taken all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    draining = asyncio.create_task(_drain(reader))
    began, sent, batch = time.monotonic(), 0, max(1, int(rate * SLICE))
    waiting = list(commands)
    for start in range(0, len(waiting), batch):
        writer.write(b"".join(waiting[start : start + batch]))
        await writer.drain()
        sent += batch
        await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
    writer.write(b"*1\r\n$4\r\nQUIT\r\n")
    await draining
    writer.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


def _renamed(event: dict, ids: dict[str, str], shift: float) -> dict:  # type: ignore[type-arg]
    found = {**event, "timestamp": event["timestamp"] + shift}
    for key in ("uuid", "root_id", "parent_id"):
        if found.get(key):
            found[key] = ids.setdefault(found[key], str(uuid.uuid4()))
    return found


def _read(channel: bytes, data: bytes) -> Message:
    envelope = json.loads(data)
    body = json.loads(base64.b64decode(envelope["body"]))
    listed = isinstance(body, list)
    return Message(channel, envelope, body if listed else [body], listed)
