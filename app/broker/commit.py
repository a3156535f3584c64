"""Sends tasks to Redis in groups, each within its time or not at all.

Submissions that arrive while a group is on its way make up the next one, and one script sends
them: a hundred people who press the button at once cost two round trips. A script carries its
deadline in Redis's own clock, so that one which a frozen Redis finds when it wakes up does
nothing: whoever was told "not sent" can rely on it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.broker.calls import Call, Calls
from app.broker.errand import ANSWERED_WITHIN, LARGE, Errand, Outcome
from app.broker.line import Line
from app.broker.script import CHECK, SEND
from app.broker.transport import safe_url
from app.broker.watch import LATE_ANSWER, Watch
from app.domain.errors import BadInput, BrokerUnavailable

LEAST_PATIENCE = 0.3
"""Seconds that a look whether Redis answers may take, however long it was until it was made."""
GROUP_LIMIT = 256
"""Errands sent at once; more would make the first of them wait for the last."""
UNSENT = "nothing was sent"
PERHAPS_SENT = (
    "it broke off while it was asked, so it may have been sent; the same Idempotency-Key tells"
)


class GroupCommit:
    """The errands that wait for their turn on one connection to Redis."""

    def __init__(self, url: str, calls: Calls) -> None:
        self._server = f"Redis at {safe_url(url)}"
        self._line = Line(url)
        self._calls = calls
        self._waiting: deque[Errand] = deque()
        self._watch = Watch(self._give_up)
        self._called = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send; it connects when there is something to send."""
        self._task = asyncio.create_task(self._run(), name="group commit")

    async def close(self) -> None:
        """Let go of the connection; what still waits is told that it was not sent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for errand in self._waiting:
            errand.refuse(self._refusal(f"is no longer asked: {UNSENT}"))
        self._watch.close()
        await self._line.close()

    async def run(self, errand: Errand) -> Outcome:
        """Send it. Raises BrokerUnavailable within 2 s, and then it never will be sent."""
        self._waiting.append(errand)
        self._called.set()
        self._watch.begin(errand)
        try:
            return await errand.outcome
        finally:
            self._watch.end(errand)

    async def check(self, since: float) -> None:
        """Raises BrokerUnavailable where Redis does not answer now: within the time of a request
        that came at `since` (of our monotonic clock), before much is prepared for it."""
        left = since + ANSWERED_WITHIN - time.monotonic()
        try:
            async with asyncio.timeout(max(left, LEAST_PATIENCE)):
                await self._line.ping()
        except (RedisError, OSError, EOFError) as error:
            cause = f"does not answer ({type(error).__name__})"
            raise self._refusal(f"{cause}: {UNSENT}") from None

    def _give_up(self, errand: Errand) -> None:
        errand.refuse(self._refusal(f"did not answer in time: {UNSENT}"))

    async def _run(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            while group := self._next_group():
                try:
                    await self._send(group)
                except Exception as error:
                    # Whatever it is, it must not end the sending of everything after it.
                    await self._line.leave()
                    self._tell(group, error)

    def _next_group(self) -> list[Errand]:
        group: list[Errand] = []
        size = 0
        while self._waiting and len(group) < GROUP_LIMIT and size <= LARGE:
            if group and self._waiting[0].large:
                break
            errand = self._waiting.popleft()
            if not errand.outcome.done():
                group.append(errand)
                size += errand.size
        return group

    async def _send(self, group: list[Errand]) -> None:
        """Send a group; once more where the connection was lost on the way.

        The script knows a task that it has sent already, so that nothing is sent twice.
        """
        calls: list[Call] = []
        try:
            await self._exchange(group, calls)
        except (RedisTimeoutError, TimeoutError):
            raise
        except (RedisConnectionError, OSError, EOFError):
            await self._line.leave()
            # Together as before: all of a call have been sent, or none.
            calls = [call for call in calls if any(not one.outcome.done() for one in call.errands)]
            for call in calls:
                call.sent_before = True
            await self._exchange(group, calls)

    async def _exchange(self, group: list[Errand], calls: list[Call]) -> None:
        """Make the calls, unless they were made before, and take the answers."""
        large = group[0].large
        await self._line.open()
        if large or not self._line.clock.fresh:
            await self._line.read_clock()
        if not calls:
            # Whoever was told in the meantime that nothing was sent can rely on it.
            calls += self._make([errand for errand in group if not errand.outcome.done()])
        asked = time.monotonic()
        for errand in group:
            errand.asked = errand.asked or asked
        async with asyncio.timeout(self._left(calls)):
            if large:
                unknown = [call for call in calls if not await self._transact(call, asked)]
            else:
                unknown = await self._run_scripts(calls, asked)
        if unknown:
            await self._line.load()
            self._waiting.extendleft(one for call in unknown for one in reversed(call.errands))

    def _make(self, errands: list[Errand]) -> list[Call]:
        if errands and errands[0].large:
            return [self._calls.for_transaction(errands[0])]
        calls = [self._calls.for_script([errand]) for errand in errands if errand.alone]
        together = [errand for errand in errands if not errand.alone]
        return [*calls, self._calls.for_script(together)] if together else calls

    def _left(self, calls: Sequence[Call]) -> float:
        """Seconds for the answers."""
        latest = max((one.answer_by for call in calls for one in call.errands), default=0.0)
        return max(latest - time.monotonic(), LATE_ANSWER)

    async def _run_scripts(self, calls: Sequence[Call], asked: float) -> list[Call]:
        """Have scripts send small errands; those calls whose script Redis did not know."""
        await self._line.write(self._line.command(SEND, call) for call in calls)
        answers = await self._line.read(len(calls))
        return [
            call
            for call, answer in zip(calls, answers, strict=True)
            if not self._take(call, answer, asked)
        ]

    async def _transact(self, call: Call, asked: float) -> bool:
        """Send a large errand while the guard lives; says whether Redis knew the script.

        Watched while it is there, a guard that has expired keeps the transaction from being
        carried out, however late Redis comes to it.
        """
        line, guard = self._line, self._calls.guard
        check = line.command(CHECK, call)
        await line.write([("UNWATCH",), check, ("WATCH", guard), ("EXISTS", guard)])
        _, answer, _, there = await line.read(4)
        if isinstance(answer, Exception) or answer[0] != b"go":
            return self._take(call, answer, asked)
        [errand] = call.errands
        steps = self._calls.transaction(errand, answer[1].decode(), streamed=answer[2] != b"")
        done = await self._carry_out(steps) if there else None
        if done is None:
            self._put_off(call)
        elif isinstance(done, Exception):
            self._refuse(call, f"refused ({done}): {UNSENT}")
        elif wrong := [each for each in done if isinstance(each, Exception)]:
            self._refuse(call, f"refused a part ({wrong[0]}): {PERHAPS_SENT}")
        else:
            errand.settle(Outcome("sent", ""))
        return True

    async def _carry_out(self, steps: Iterable[Sequence[str]]) -> Any:
        """The answer to EXEC: None where nothing was done, for it was too late."""
        count = 1

        def counted() -> Iterator[Sequence[str]]:
            nonlocal count
            for step in steps:
                count += 1
                yield step
            yield ("EXEC",)

        await self._line.write(counted())
        return (await self._line.read(count))[-1]

    def _take(self, call: Call, answer: Any, asked: float) -> bool:
        """Tell the outcome; says whether Redis knew the script at all."""
        if isinstance(answer, NoScriptError):
            return False
        if isinstance(answer, Exception):
            self._refuse(call, f"refused ({answer}): {UNSENT}")
            return True
        kind, at, more = (part.decode() for part in answer)
        self._line.clock.learn(asked, time.monotonic(), int(at) / 1_000_000)
        if kind == "late":
            self._put_off(call)
        elif kind == "not a list" and len(call.errands) > 1:
            for errand in call.errands:
                errand.alone = True
            self._waiting.extend(call.errands)
        else:
            outcome = Outcome(kind, more)
            for errand in call.errands:
                errand.settle(outcome)
        return True

    def _put_off(self, call: Call) -> None:
        """Redis came to it too late: perhaps its clock was set, and is known better now."""
        now = time.monotonic()
        for errand in call.errands:
            if now < errand.deadline:
                self._waiting.append(errand)
            else:
                errand.refuse(self._refusal(f"is too slow: {UNSENT}"))

    def _tell(self, group: Iterable[Errand], error: Exception) -> None:
        """Say what is known: a script past its time is never run, one that was on its way when
        the connection broke, and could not be asked about again, may have been."""
        late = isinstance(error, RedisTimeoutError | TimeoutError)
        for errand in group:
            if isinstance(error, BadInput):
                errand.refuse(error)
                continue
            told = UNSENT if late or errand.asked is None else PERHAPS_SENT
            cause = f"does not take tasks ({type(error).__name__})"
            errand.refuse(self._refusal(f"{cause}: {told}"))

    def _refuse(self, call: Call, cause: str) -> None:
        for errand in call.errands:
            errand.refuse(self._refusal(cause))

    def _refusal(self, cause: str) -> BrokerUnavailable:
        return BrokerUnavailable(f"{self._server} {cause}.")
