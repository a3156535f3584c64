"""From events to Redis commands, and what becomes of them.

`Publishing` is what Celery's dispatcher does; `Keeping` is the stream. A route sends the commands
of one or both in one pipeline.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from umbel_worker.links import Broker
from umbel_worker.outbox import Item, Lane, Message, Producer
from umbel_worker.wire import ENTRIES, entry, envelope

log = logging.getLogger("umbel_worker")

CHECK_EVERY = 1_048_576
"""Characters written until the stream's size is looked at again."""
TRIM_TO = 0.95
"""Share of the bound that is left after a cut."""
TOGETHER = 100
"""Events in one published list: each subscriber's output buffer takes a message as a whole."""
LOOK_BACK, PAGES = 200, 25
"""Entries in a page, and pages, that are looked through for what a lost connection had written."""
SAY_AGAIN = 60.0
"""Seconds between two log lines about the same trouble."""

Client = Callable[[], redis.Redis]


class Publishing:
    """To the event exchange, for every monitor that listens at this moment."""

    def __init__(self, broker: Broker, exchange: str) -> None:
        self._broker = broker
        self._exchange = exchange
        self.lane = Lane(self._build, lambda _: None)

    def _build(self, items: list[Item]) -> list[Message]:
        return [self._message(run) for run in _runs(items)]

    def _message(self, run: list[Item]) -> Message:
        first = run[0]
        body = f"[{','.join(item.text for item in run)}]" if first.batched else first.text
        payload = envelope(
            self._exchange, first.routing_key, first.producer.hostname, first.number, body
        )
        topics = self._broker.topics(self._exchange, first.routing_key)
        return Message([["PUBLISH", topic, payload] for topic in topics], run)


class Keeping:
    """Appends to the stream, and keeps that within its bytes."""

    def __init__(self, key: str, most_bytes: int) -> None:
        self._key = key
        self._most_bytes = most_bytes
        self._since_check = 0
        self._last_id: Any = "-"
        self.dropped = 0
        self.lane = Lane(self._build, self._drop)

    def _drop(self, item: Item) -> None:
        item.producer.dropped += 1
        self.dropped += 1

    def _build(self, items: list[Item]) -> list[Message]:
        found: dict[Producer, list[Item]] = {}
        for item in items:
            found.setdefault(item.producer, []).append(item)
        return [self._message(producer, run) for producer, run in found.items()]

    def _message(self, producer: Producer, run: list[Item]) -> Message:
        fields = entry(producer.name, run[0].number, [item.text for item in run], producer.dropped)
        return Message([["XADD", self._key, "MAXLEN", "~", ENTRIES, "*", *fields]], run)

    def written(self, replies: Sequence[object]) -> None:
        """Remember how far the stream is known, and how much has been added to it."""
        for message, reply in zip(self.lane.under_way, replies, strict=True):
            if not isinstance(reply, Exception):
                self._last_id = reply
                self._since_check += sum(len(item.text) for item in message.items)

    def trim(self, client: redis.Redis) -> None:
        """Cuts the oldest entries where the stream takes more of Redis than it may."""
        if self._since_check < CHECK_EVERY:
            return
        self._since_check = 0
        taken = int(client.memory_usage(self._key) or 0)
        if taken > self._most_bytes:
            keep = int(client.xlen(self._key) * self._most_bytes * TRIM_TO / taken)
            client.xtrim(self._key, maxlen=keep, approximate=True)

    def forget_written(self, client: redis.Redis) -> None:
        """Take off the lane what had reached the stream before its connection was lost."""
        wanted = {_identity(message): message for message in self.lane.under_way}
        for found in self._since(client):
            message = wanted.pop(found, None)
            if message is not None:
                self.lane.under_way.remove(message)
            if not wanted:
                return

    def _since(self, client: redis.Redis) -> Iterator[tuple[str, str]]:
        """Producer and number of the entries after the last one known, the latest first."""
        until: Any = "+"
        for _ in range(PAGES):
            page: Any = client.xrevrange(self._key, max=until, min=self._last_id, count=LOOK_BACK)
            for entry_id, fields in page:
                yield _text(fields, "p"), _text(fields, "n")
                until = b"(" + entry_id if isinstance(entry_id, bytes) else f"({entry_id}"
            if len(page) < LOOK_BACK:
                return


class Route:
    """One server, and what goes there in one pipeline."""

    def __init__(
        self, client: Client, publishing: Publishing | None, keeping: Keeping | None
    ) -> None:
        self._client = client
        self._keeping = keeping
        self._ways = [way for way in (publishing, keeping) if way is not None]
        self._unsure = False
        self._trouble = ""
        self._said_at = 0.0

    @property
    def lanes(self) -> list[Lane]:
        """What is on its way to this server."""
        return [way.lane for way in self._ways]

    def write(self) -> None:
        """Sends what is due. Never raises: what was not sent is kept for the next time."""
        due = [lane for lane in self.lanes if lane.due()]
        try:
            errors = self._write(due)
        except Exception as error:  # whatever it is, tasks go on
            for lane in due:
                lane.failed()
            errors = [error]
        if errors:
            self._say(errors[0])
        elif self._trouble:
            log.warning("Events flow to Redis again. %s", self._counts())
            self._trouble = ""

    def _write(self, lanes: list[Lane]) -> list[Exception]:
        client = self._client()
        if self._unsure and self._keeping is not None:
            self._keeping.forget_written(client)
        batches = [lane.take() for lane in lanes]
        commands = [command for batch in batches for each in batch for command in each.commands]
        if not commands:
            return []
        self._unsure = True
        replies = _run(client, commands)
        self._unsure = False
        return self._settle(client, lanes, replies)

    def _settle(
        self, client: redis.Redis, lanes: list[Lane], replies: list[object]
    ) -> list[Exception]:
        errors = []
        for lane in lanes:
            count = sum(len(message.commands) for message in lane.under_way)
            own, replies = replies[:count], replies[count:]
            if self._keeping is not None and lane is self._keeping.lane:
                self._keeping.written(own)
            if error := lane.settle(own):
                errors.append(error)
        if self._keeping is not None:
            self._keeping.trim(client)
        return errors

    def _say(self, error: Exception) -> None:
        if self._trouble and time.monotonic() - self._said_at < SAY_AGAIN:
            return
        self._trouble = f"{type(error).__name__}: {error}"
        self._said_at = time.monotonic()
        log.warning("Events wait for Redis (%s). %s", self._trouble, self._counts())

    def _counts(self) -> str:
        waiting = max(len(lane) for lane in self.lanes)
        dropped = self._keeping.dropped if self._keeping else 0
        return f"{waiting:,} are kept, {dropped:,} were dropped so far."


def _run(client: redis.Redis, commands: list[list[Any]]) -> list[object]:
    """The replies, errors among them; raises where the connection is lost."""
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[object] = pipeline.execute(raise_on_error=False)
    return replies


def _runs(items: list[Item]) -> Iterator[list[Item]]:
    """Items that go into one message: consecutive ones of a producer that may be batched."""
    run: list[Item] = []
    for item in items:
        if run and not (_joins(run[-1], item) and len(run) < TOGETHER):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _joins(last: Item, item: Item) -> bool:
    return (
        item.batched
        and item.producer is last.producer
        and item.routing_key == last.routing_key
        and item.number == last.number + 1
    )


def _identity(message: Message) -> tuple[str, str]:
    return message.items[0].producer.name, str(message.items[0].number)


def _text(fields: dict[Any, Any], name: str) -> str:
    value = fields.get(name, fields.get(name.encode(), ""))
    return value.decode() if isinstance(value, bytes) else str(value)
