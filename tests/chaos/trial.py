"""One fault, from the first task until everything that Umbel shows is true, or time is up."""

import json
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.chaos import shown, verdict
from tests.chaos.background import Background
from tests.chaos.faults import Fault
from tests.chaos.load import Load, Sent
from tests.chaos.scene import Scene
from tests.chaos.shown import Shown
from tests.chaos.stack import Stack
from tests.chaos.subscribers import Archive, Hopper, Judgement, Raw, Reader, judge, order
from tests.chaos.truth import Fact, Truth
from tests.chaos.verdict import Verdict
from tests.support import eventually

POLL_SECONDS = 0.5
SHOWING_SECONDS = 0.3
"""What has just ended is shown so soon, when nothing is wrong."""
MORE_SECONDS = 2.0
"""The load goes on for so long after the part is back."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a trial is run: on workers with the plugin (`durable`) or without (`stock`)."""

    mode: str
    database: str = "sqlite"
    moments: int = 50
    short: bool = False
    seed: int = 0


@dataclass
class Watched:
    """What was seen after the part was back."""

    facts: dict[str, Fact] = field(default_factory=dict)
    shown: Shown = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    worst: int = 0
    true_after: float = 0.0
    wrong_since: dict[str, tuple[float, str]] = field(default_factory=dict)
    slowest: dict[str, tuple[float, str]] = field(default_factory=dict)

    def compare(self, sent: Iterable[Sent], facts: dict[str, Fact], found: Shown) -> None:
        """Takes in one look at the truth and at what Umbel shows."""
        self.facts, self.shown, now = facts, found, time.monotonic()
        self.wrong = verdict.mistakes((each for each in sent if facts[each.id].final), facts, found)
        self.worst = max(self.worst, len(self.wrong))
        for task_id, said in self.wrong.items():
            since, first = self.wrong_since.setdefault(task_id, (now, said))
            self.slowest[task_id] = (now - since, first)
        for task_id in self.wrong_since.keys() - self.wrong.keys():
            del self.wrong_since[task_id]


class Trial:
    """Everything of one trial; `run` gives its verdict."""

    def __init__(self, fault: Fault, plan: Plan, folder: Path) -> None:
        self._fault, self._plan = fault, plan
        self.readers: list[Reader] = []
        self.archive: Archive | None = None
        self._background = Background()
        self.stack = Stack(folder, plan.mode, fault.needs, self._background, plan.database)

    def run(self) -> Verdict:
        with ExitStack() as ending:
            ending.callback(self._background.stop)
            ending.callback(self.stack.close)
            ending.callback(self._unsubscribe)
            self.stack.start()
            truth = Truth(self.stack)
            ending.callback(truth.close)
            self._subscribe()
            load = Load(self.stack.redis.url, self.stack.urls, self._plan.mode, self._plan.seed)
            ending.callback(load.close)
            load.start()
            scene = self._scene(load)
            scene.work()
            watched = self._watch(truth, scene)
            return self._verdict(scene, truth, watched)

    def _scene(self, load: Load) -> Scene:
        plan = self._plan
        return Scene(self.stack, load, random.Random(plan.seed), plan.moments, plan.short)

    def _subscribe(self) -> None:
        urls = self.stack.urls
        self.readers = [
            Reader("steady", urls[:1]),
            Reader("steady elsewhere", urls[-1:]),
            Hopper("hopping", urls),
            Raw("raw", urls),
        ]
        self.archive = Archive(self.stack.redis.port)
        for each in (*self.readers, self.archive):
            self._background.start(each.run())
        eventually(lambda: all(reader.tape.last_id for reader in self.readers), 60.0)

    def _unsubscribe(self) -> None:
        """Lets the readers end, and leaves what they read beside the logs."""
        for reader in self.readers:
            lines = "".join(json.dumps(frame) + "\n" for frame in reader.tape.frames)
            name = reader.tape.name.replace(" ", "-")
            (self.stack.folder / f"{name}.jsonl").write_text(lines)
        for each in (*self.readers, *filter(None, [self.archive])):
            each.ending = True

    def _watch(self, truth: Truth, scene: Scene) -> Watched:
        """Compares again and again, from the moment that something is broken, until all is true
        and final, or time is up."""
        watched = Watched()
        with ThreadPoolExecutor(1) as hand:
            acting = hand.submit(self._fault.act, scene)
            while not acting.done():
                self._compare(truth, scene.load, watched)
                wait([acting], POLL_SECONDS)
            acting.result()
        repaired = time.monotonic()
        while (since := time.monotonic() - repaired) < self._fault.patience:
            if since > MORE_SECONDS:
                scene.load.end()
            if self._compare(truth, scene.load, watched):
                if watched.wrong:
                    watched.true_after = since
                elif scene.load.ended and all(fact.final for fact in watched.facts.values()):
                    break
            time.sleep(POLL_SECONDS)
        return watched

    def _compare(self, truth: Truth, load: Load, watched: Watched) -> bool:
        """One look at both; False where one of them could not be seen."""
        sent = list(load.sent.values())
        try:
            facts = truth.look(sent)
        except (redis.RedisError, OSError):
            return False
        time.sleep(SHOWING_SECONDS)
        found = shown.read(random.choice(self.stack.urls))
        if found is None:
            return False
        watched.compare(sent, facts, found)
        return True

    def _verdict(self, scene: Scene, truth: Truth, watched: Watched) -> Verdict:
        sent = list(scene.load.sent.values())
        judgements = self._judge(watched)
        absent = [
            f"{each.kind} {each.id} by {each.way} was never heard of"
            for each in sent
            if each.accepted and each.id not in watched.shown
            if not watched.facts[each.id].absent
        ]
        lost = absent + verdict.lost_changes(judgements)
        doubled = verdict.doubled_changes(judgements)
        ran = verdict.wrong_runs(sent, truth.runs, self._fault.redelivers)
        waiting = [each for each in sent if not watched.facts[each.id].final]
        wrong = watched.wrong | verdict.mistakes(waiting, watched.facts, watched.shown)
        names = {each.id: f"{each.kind} by {each.way}" for each in sent}
        said = [f"{names[task_id]} {task_id}: {what}" for task_id, what in wrong.items()]
        slow = sorted(watched.slowest.items(), key=lambda each: each[1][0], reverse=True)
        return Verdict(
            fault=self._fault.name,
            mode=self._plan.mode,
            database=self._plan.database,
            tasks=len(sent),
            wrong_before=watched.worst,
            wrong_after=len(wrong),
            seconds=None if wrong else round(watched.true_after, 1),
            lost=len(lost),
            doubled=len(doubled),
            ran_wrongly=len(ran),
            unknowable=verdict.count_unknowable(watched.facts, watched.shown),
            whole=round(verdict.share_of_whole(watched.shown), 4),
            resets=max(each.resets for each in judgements),
            waiting=len(waiting),
            measured=scene.measured,
            details=[
                *said[: verdict.DETAILS],
                *lost[: verdict.DETAILS],
                *doubled[: verdict.DETAILS],
                *ran[: verdict.DETAILS],
            ],
            slowest=[
                f"{names[task_id]} {task_id} for {seconds:.0f} s: {what}"
                for task_id, (seconds, what) in slow[: verdict.SLOWEST]
            ],
        )

    def _judge(self, watched: Watched) -> list[Judgement]:
        """What the subscribers have, once they had the time to read to the end."""
        assert self.archive is not None
        archive = self.archive
        self._background.call(archive.read())
        end = order(archive.last_id)

        def at_the_end() -> bool:
            return all(order(reader.tape.last_id) >= end for reader in self.readers)

        with suppress(AssertionError):  # what is missing then, is missed
            eventually(at_the_end, 20.0)
        return [judge(each.tape, archive.kinds, watched.shown, end) for each in self.readers]
