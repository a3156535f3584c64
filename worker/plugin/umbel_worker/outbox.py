"""Events on their way out: numbered, bounded, and never a reason to wait."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MOST_EVENTS = 10_000
MOST_CHARACTERS = 16 * 1_048_576
"""What a lane holds while its Redis is away; past either, the oldest events are dropped."""
BATCH_EVENTS = 500
BATCH_CHARACTERS = 512 * 1024
"""What is taken out at once: an entry of the stream stays small enough to be read in a blink."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 1.0
"""Seconds until the next try where Redis is away or refuses; doubled from try to try."""


class Producer:
    """Who announces events: a hostname in this process. Its numbers start at 1 and have no gap
    but where events were dropped."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.name = f"{hostname}|{os.getpid()}|{os.urandom(4).hex()}"
        self.numbered = 0
        self.dropped = 0


class Item(NamedTuple):
    """One event. `batched` ones may share a message with others of the same routing key."""

    producer: Producer
    number: int
    routing_key: str
    batched: bool
    text: str


@dataclass(slots=True)
class Message:
    """What is sent for some events: Redis commands, which are sent again until all succeeded."""

    commands: list[list[Any]]
    items: list[Item]


class Lane:
    """One way out, with its own bounds: what is stuck here does not hold up the other way."""

    def __init__(
        self, build: Callable[[list[Item]], list[Message]], on_drop: Callable[[Item], None]
    ) -> None:
        self._build = build
        self._on_drop = on_drop
        self._waiting: deque[Item] = deque()
        self._characters = 0
        self._lock = threading.RLock()
        self._wait = 0.0
        self._not_before = 0.0
        self.under_way: list[Message] = []

    def __len__(self) -> int:
        return len(self._waiting) + sum(len(message.items) for message in self.under_way)

    def append(self, item: Item) -> None:
        """Take one in; the oldest make room for it."""
        with self._lock:
            self._waiting.append(item)
            self._characters += len(item.text)
            while len(self._waiting) > MOST_EVENTS or self._characters > MOST_CHARACTERS:
                self._on_drop(self._popleft())

    def take(self) -> list[Message]:
        """What is to be sent next: what could not be sent before, else the next batch."""
        if not self.under_way:
            self.under_way = self._build(self._next())
        return self.under_way

    def settle(self, replies: Sequence[object]) -> Exception | None:
        """Keep those whose commands did not all succeed; the first error, if there is one."""
        refused, error, at = [], None, 0
        for message in self.under_way:
            own = replies[at : at + len(message.commands)]
            at += len(message.commands)
            if errors := [reply for reply in own if isinstance(reply, Exception)]:
                refused.append(message)
                error = error or errors[0]
        self.under_way = refused
        self.failed() if error else self._succeeded()
        return error

    def failed(self) -> None:
        """Not again before a while has passed."""
        self._wait = min(LONGEST_WAIT, self._wait * 2 or FIRST_WAIT)
        self._not_before = time.monotonic() + self._wait

    def _succeeded(self) -> None:
        self._wait = self._not_before = 0.0

    def due(self) -> bool:
        """Whether there is something to send, and now is the time for it."""
        return bool(self._waiting or self.under_way) and time.monotonic() >= self._not_before

    def hurry(self) -> None:
        """The process ends: try now."""
        self._not_before = 0.0

    def full(self) -> bool:
        """Whether more than one batch waits."""
        return len(self._waiting) >= BATCH_EVENTS

    def _next(self) -> list[Item]:
        taken: list[Item] = []
        room = BATCH_CHARACTERS
        with self._lock:
            while self._waiting and len(taken) < BATCH_EVENTS and room > 0:
                taken.append(self._popleft())
                room -= len(taken[-1].text)
        return taken

    def _popleft(self) -> Item:
        item = self._waiting.popleft()
        self._characters -= len(item.text)
        return item


class Numbering:
    """Gives events their numbers, in the order in which they were announced.

    A signal handler may announce an event (Celery's cold shutdown does) while the very same
    thread is in here: it leaves the event to whom it interrupted.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._arrived: deque[tuple[str, str, bool, str]] = deque()
        self._lock = threading.RLock()
        self._inside = False
        self.producers: dict[str, Producer] = {}

    def add(self, hostname: str, routing_key: str, batched: bool, text: str) -> None:
        """Number an event, and put it on every lane."""
        self._arrived.append((hostname, routing_key, batched, text))
        with self._lock:
            if self._inside:
                return
            self._inside = True
            try:
                while self._arrived:
                    self._number(*self._arrived.popleft())
            finally:
                self._inside = False

    def _number(self, hostname: str, routing_key: str, batched: bool, text: str) -> None:
        producer = self.producers.get(hostname)
        if producer is None:
            producer = self.producers[hostname] = Producer(hostname)
        producer.numbered += 1
        item = Item(producer, producer.numbered, routing_key, batched, text)
        for lane in self._lanes:
            lane.append(item)
