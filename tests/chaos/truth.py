"""What is true of each task, from its own file, the result backend, the queues and the workers.

Nothing in here asks Umbel anything.
"""

import base64
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from tests.chaos.load import Sent, sender
from tests.chaos.stack import Stack, alive

QUIET_SECONDS = 4.0
"""A task that nobody has for so long is lost: longer than any step between two places takes."""
ASK_SECONDS = 1.0
"""Patience with workers that are asked what they hold."""

MOVING = frozenset({"PENDING", "RECEIVED", "STARTED", "PROGRESS", "RETRY"})


@dataclass(frozen=True, slots=True)
class Fact:
    """One task's truth: the states that are right for it, and whether it will change.

    `absent`: it may be unknown to Umbel. `told`: the result backend or an event that outlived the
    fault could tell it; where nothing does, only the task's own file knows, and LOST is honest.
    """

    states: frozenset[str]
    final: bool
    why: str
    result: object = None
    absent: bool = False
    told: bool = True


@dataclass(slots=True)
class Runs:
    """What a task's own file says of it."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, Any] | None:
        return self.lines[-1] if self.lines else None

    def starts(self, after: float = 0.0) -> int:
        """How often it was begun, after a moment of the monotonic clock."""
        return sum(line["what"] == "start" and line["at"] > after for line in self.lines)

    def most_starts(self) -> int:
        """How often the attempt that was begun most often was begun."""
        attempts = Counter(line["attempt"] for line in self.lines if line["what"] == "start")
        return max(attempts.values(), default=0)


class Truth:
    """Looks again and again; `facts` is what the last look found."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._asking: Celery = sender(stack.redis.url)
        self._read = 0
        self._stored: dict[str, dict[str, Any]] = {}
        self._missing_since: dict[str, float] = {}
        self._asked = 0.0
        self._claimed: frozenset[str] = frozenset()
        self.runs: defaultdict[str, Runs] = defaultdict(Runs)
        self.facts: dict[str, Fact] = {}

    def close(self) -> None:
        self._asking.close()

    def look(self, sent: Iterable[Sent]) -> dict[str, Fact]:
        """The facts as they are now. Raises redis.RedisError where Redis is away."""
        asked = list(sent)
        with self._stack.client() as client:
            before = self._places(client)
            self._read_backend(client, [each.id for each in asked])
            self._read_runs()
            places = before | self._places(client)
        self._see_what_is_missing(asked, places)
        self.facts = {each.id: self._fact(each, places) for each in asked}
        return self.facts

    def _fact(self, sent: Sent, places: frozenset[str]) -> Fact:
        runs = self.runs[sent.id]
        stored = self._stored.get(sent.id, {})
        waits = sent.id in places
        last = runs.last
        if (status := stored.get("status")) in ("SUCCESS", "FAILURE"):
            moves = waits or self._runs_now(runs)
            states = frozenset({status}) | (MOVING if moves else frozenset())
            return Fact(states, not moves, "result backend", stored.get("result"))
        if last is not None and last["what"] in ("done", "failed"):
            state = "SUCCESS" if last["what"] == "done" else "FAILURE"
            told = sent.kind == "silent"
            final = not waits and (told or self._settled(sent))
            states = frozenset({state}) | (frozenset() if final else MOVING)
            return Fact(states, final, "its own file", told=told)
        if self._runs_now(runs):
            return Fact(MOVING, False, "it runs")
        if status == "REVOKED" and not waits:
            return Fact(frozenset({"REVOKED"}), True, "result backend")
        if waits or sent.id in self._claimed:
            return self._waiting(sent, status)
        return self._nowhere(sent, runs)

    def _waiting(self, sent: Sent, status: str | None) -> Fact:
        # Whoever has it may be dead: LOST until Redis hands it out again is right as well.
        states = (
            MOVING | {"LOST"} | ({"REVOKED"} if status == "REVOKED" or sent.revoked_at else set())
        )
        return Fact(frozenset(states), False, "queued or handed out")

    def _nowhere(self, sent: Sent, runs: Runs) -> Fact:
        final = self._settled(sent)
        if sent.accepted is False:
            return Fact(frozenset(), final, "refused", absent=True)
        if sent.accepted is None and not runs.lines:
            return Fact(frozenset({"LOST", "REVOKED"}), final, "never sent, maybe", absent=True)
        if sent.revoked_at is not None:
            return Fact(frozenset({"REVOKED"}), final, "withdrawn")
        states = frozenset({"LOST"}) | (frozenset() if final else MOVING)
        # Redis took it, and every word of it, along: nobody is left who could know.
        forgotten = not self._stack.needs.persistent and not runs.lines
        return Fact(states, final, "nowhere", absent=forgotten, told=not forgotten)

    def _settled(self, sent: Sent) -> bool:
        """Nobody had it for a while, nor a word of it."""
        now = time.monotonic()
        return now - self._missing_since.get(sent.id, now) >= QUIET_SECONDS

    def _see_what_is_missing(self, sent: list[Sent], places: frozenset[str]) -> None:
        missing = [each for each in sent if self._is_missing(each, places)]
        if missing and time.monotonic() - self._asked > 2 * ASK_SECONDS:
            self._claimed = self._ask_workers()
            self._asked = time.monotonic()
        now = time.monotonic()
        ids = {each.id for each in missing} - self._claimed
        self._missing_since = {each: self._missing_since.get(each, now) for each in ids}

    def _is_missing(self, sent: Sent, places: frozenset[str]) -> bool:
        runs = self.runs[sent.id]
        if sent.kind == "silent" and runs.last is not None and runs.last["what"] == "done":
            return False
        known = self._stored.get(sent.id, {}).get("status") in ("SUCCESS", "FAILURE", "REVOKED")
        return not (known or sent.id in places or self._runs_now(runs))

    def _runs_now(self, runs: Runs) -> bool:
        return runs.last is not None and runs.last["what"] == "start" and alive(runs.last["pid"])

    def _ask_workers(self) -> frozenset[str]:
        """What workers say that they hold: it may be in no list of Redis's."""
        inspect = self._asking.control.inspect(timeout=ASK_SECONDS)
        held: set[str] = set()
        with suppress(OSError):
            for answers in (inspect.active(), inspect.reserved(), inspect.scheduled()):
                for listed in (answers or {}).values():
                    held |= {each.get("id") or each["request"]["id"] for each in listed}
        return frozenset(held)

    def _places(self, client: Any) -> frozenset[str]:
        """Tasks in queues, and those handed out and not acknowledged."""
        found: set[str] = set()
        for key in ("celery", *(f"celery\x06\x16{step}" for step in (3, 6, 9))):
            found |= {_task_id(json.loads(text)) for text in client.lrange(key, 0, -1)}
        for text in client.hvals("unacked"):
            found.add(_task_id(json.loads(text)[0]))
        return frozenset(found)

    def _read_backend(self, client: Any, ids: list[str]) -> None:
        for start in range(0, len(ids), 500):
            page = ids[start : start + 500]
            texts = client.mget([f"celery-task-meta-{each}" for each in page])
            for task_id, text in zip(page, texts, strict=True):
                if text:
                    self._stored[task_id] = json.loads(text)

    def _read_runs(self) -> None:
        with self._stack.log.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for text in whole.splitlines():
            line = json.loads(text)
            self.runs[line["id"]].lines.append(line)


def _task_id(message: dict[str, Any]) -> str:
    headers = message.get("headers") or {}
    if "id" in headers:
        return str(headers["id"])
    return str(json.loads(base64.b64decode(message["body"]))["id"])
