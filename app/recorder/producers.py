"""Who writes durable events, and how far each has counted: a gap in the numbers is a loss.

The numbers are kept with the rows that they were read with, so that a gap over a restart of the
recorder is neither missed nor made up.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from app.broker.durable import Mark, Words, host_of
from app.domain.events import Event
from app.store.blind_windows import BlindWindow
from app.store.producers import PREFIX

PRODUCERS_LIMIT = 5_000
"""Producers remembered, some 300 bytes each: every process of a thousand workers."""
KEPT_SECONDS = 7 * 86_400.0
"""A producer that was silent for so long is forgotten: workers say something every 2 s, and a web
process that sends no task for a week is restarted before."""
LATELY_SECONDS = 60.0
"""Who was heard within it counts as a writer of durable events."""
WITHHELD_SECONDS = 10.0
"""After it, what was published with a mark and is not on the stream will not come soon."""
TOGETHER_SECONDS = 30.0
"""Gaps of one producer, or of our own hearing, that are no further apart are one blind window."""
DROPPED, WITHHELD = "dropped", "withheld"
"""Causes of blind windows: the numbers have a gap; what was published is not on the stream."""


@dataclass(slots=True)
class _Producer:
    expects: int
    heard_at: float
    host: bytes
    excused: bool = False
    window: BlindWindow | None = None
    missing: int = 0


@dataclass(slots=True)
class _Host:
    """A hostname of producers. `heard` by our monotonic clock, `heard_to` the number after the
    highest heard; `awaited` a number that was published and not yet heard on the stream."""

    heard: float
    heard_to: int = 0
    awaited: int = 0
    awaited_since: float = 0.0
    awaited_at: float = 0.0
    trusted: bool = True


class Producers:
    """All producers that are remembered. Bounded: see PRODUCERS_LIMIT.

    `reading`: the stream can be read. `following`: as fast as it is written; `followed_at` is
    the last moment, by our monotonic clock, before which all of it was read. `dropped` counts
    events that producers could not keep.
    """

    def __init__(self, kept: Mapping[str, str]) -> None:
        self.following = False
        self.reading = False
        self.followed_at = 0.0
        self.dropped = 0
        self._known: dict[str, _Producer] = {}
        self._hosts: dict[bytes, _Host] = {}
        self._touched: set[str] = set()
        self._forgotten: set[str] = set()
        self._windows: dict[tuple[float, str], BlindWindow] = {}
        self._load(kept)

    def __len__(self) -> int:
        return len(self._known)

    def _load(self, kept: Mapping[str, str]) -> None:
        found = []
        for source, value in kept.items():
            name = source.removeprefix(PREFIX)
            expects, _, heard_at = value.partition(" ")
            try:
                producer = _Producer(int(expects), float(heard_at), host_of(name))
            except ValueError:
                self._forgotten.add(name)
            else:
                found.append((producer.heard_at, name, producer))
        for _, name, producer in sorted(found, key=lambda each: each[0]):
            self._known[name] = producer
        self._forget_oldest(time.time())

    def hear(self, words: Words) -> Sequence[Event]:
        """Those of its events that were not heard before, in order; looks for a gap on the way."""
        if not words.producer:
            return words.events
        known = self._known.pop(words.producer, None)
        if new := known is None:
            known = self._meet(words)
        self._known[words.producer] = known
        self._hear_host(known.host, words, new)
        known.heard_at, before = max(words.heard_at, known.heard_at), known.heard_at
        number = words.number
        if not number:
            return words.events
        self._touched.add(words.producer)
        if number > known.expects > 0:
            self._miss(words, known, before)
        known.excused = False
        again = known.expects - number if known.expects else 0
        known.expects = max(known.expects, number + words.total)
        if again <= 0:
            return words.events
        if again >= words.total:
            return ()
        # Where some could not be understood, hearing one twice is harmless; missing one is not.
        return words.events[again:] if len(words.events) == words.total else words.events

    def excuse(self) -> None:
        """The stream has lost entries, which is told: gaps that show it are not told again."""
        for known in self._known.values():
            known.excused = True

    @property
    def skip_some(self) -> bool:
        """There are messages that need not be read: looking at each for its mark costs as much as
        hearing it."""
        return self.reading and bool(self._hosts)

    def skips(self, mark: Mark) -> bool:
        """Whether a published message need not be read, as the stream will bring the same.

        It need not where that hostname was heard on our stream of late, the stream can be read,
        and nothing that it published is overdue there. Messages about workers are the present,
        so they are read while the stream still tells the past.
        """
        host = self._hosts.get(mark.host)
        if host is None or not self.reading or (mark.of_worker and not self.following):
            return False
        now = time.monotonic()
        if not host.trusted or now - host.heard > LATELY_SECONDS:
            return False
        if not self.following:
            host.awaited = 0
        elif not host.awaited:
            if mark.number >= max(host.heard_to, 1):
                host.awaited, host.awaited_since, host.awaited_at = mark.number, now, time.time()
        elif self.followed_at - host.awaited_since > WITHHELD_SECONDS:
            self._distrust(mark.host, host)
            return False
        return True

    def hosts_lately(self) -> set[bytes]:
        """Hostnames, as JSON, that were heard on the stream within a minute."""
        since = time.monotonic() - LATELY_SECONDS
        return {name for name, host in self._hosts.items() if host.heard >= since}

    def known_hosts(self) -> set[bytes]:
        """Hostnames, as JSON, of all producers that are remembered."""
        return {known.host for known in self._known.values()}

    def count_lately(self, now: float) -> int:
        """How many producers were heard on the stream within a minute."""
        return sum(now - known.heard_at <= LATELY_SECONDS for known in self._known.values())

    def take_positions(self) -> dict[str, str]:
        """What is to be kept of those heard since the last call."""
        touched, self._touched = self._touched, set()
        return {
            PREFIX + name: f"{known.expects} {known.heard_at:.3f}"
            for name in touched
            if (known := self._known.get(name)) is not None
        }

    def take_windows(self) -> list[BlindWindow]:
        """Gaps found, or grown, since the last call."""
        windows, self._windows = self._windows, {}
        return list(windows.values())

    def take_forgotten(self, now: float) -> list[str]:
        """Sources whose positions need not be kept any longer."""
        self._forget_oldest(now)
        forgotten = self._forgotten - self._known.keys()
        self._forgotten = set()
        return [PREFIX + name for name in sorted(forgotten)]

    def _meet(self, words: Words) -> _Producer:
        """One that isn't remembered: what it said before is read already, or known to be gone,
        unless it says that it could not keep its first events."""
        expects = 1 if words.number - 1 == words.dropped else words.number
        if len(self._known) >= PRODUCERS_LIMIT:
            self._forget(next(iter(self._known)))
        return _Producer(expects, words.heard_at, host_of(words.producer))

    def _hear_host(self, name: bytes, words: Words, new: bool) -> None:
        heard_to = words.number + words.total if words.number else 0
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= PRODUCERS_LIMIT:
                del self._hosts[next(iter(self._hosts))]
            host = self._hosts[name] = _Host(0.0)
        host.heard, host.trusted = time.monotonic(), True
        # A new process of that name counts from 1 again.
        host.heard_to = heard_to if new else max(heard_to, host.heard_to)
        if heard_to > host.awaited:
            host.awaited = 0

    def _distrust(self, name: bytes, host: _Host) -> None:
        """Reads what the host publishes, until the stream is heard to bring it again."""
        host.trusted, host.awaited = False, 0
        self._tell(
            BlindWindow(
                began_at=host.awaited_at,
                ended_at=time.time(),
                cause=WITHHELD,
                source=name.decode("ascii", "replace").strip('"'),
                note="published, but not written to the stream; now heard as it is published",
            )
        )

    def _miss(self, words: Words, known: _Producer, before: float) -> None:
        missing = words.number - known.expects
        if known.excused:
            return
        self.dropped += missing
        window = known.window
        if window is None or before - (window.ended_at or 0.0) > TOGETHER_SECONDS:
            known.missing, began_at = 0, min(before, words.heard_at)
        else:
            began_at = window.began_at
        known.missing += missing
        known.window = BlindWindow(
            began_at=began_at,
            ended_at=words.heard_at,
            cause=DROPPED,
            source=words.producer,
            note=f"{known.missing} events could not be kept by who wrote them",
        )
        self._tell(known.window)

    def _tell(self, window: BlindWindow) -> None:
        self._windows[window.began_at, window.source] = window

    def _forget_oldest(self, now: float) -> None:
        for name in list(islice(self._known, max(0, len(self._known) - PRODUCERS_LIMIT))):
            self._forget(name)
        # In the order in which they were heard: the first one that is young ends the search.
        for name, known in list(self._known.items()):
            if now - known.heard_at <= KEPT_SECONDS:
                break
            self._forget(name)

    def _forget(self, name: str) -> None:
        del self._known[name]
        self._forgotten.add(name)
        self._touched.discard(name)
