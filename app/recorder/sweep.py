"""Messages of revoked tasks: taken back before they run, wherever they have come to.

A worker that shuts down gives back what it held, and one that is killed leaves it behind.
"""

import time
from collections.abc import Iterable, Mapping

import structlog
from redis.asyncio import Redis

from app.broker import revokes
from app.broker.answers import read_held, read_ids
from app.broker.control import ask_all
from app.broker.revoked_result import store_revoked
from app.broker.revokes import Revoke
from app.broker.transport import Transport
from app.broker.withdraw import (
    PAUSE_SECONDS,
    Orphan,
    Withdrawn,
    find_handed_out,
    withdraw,
    withdraw_orphans,
)
from app.domain.tasks import Task, TaskState
from app.domain.workers import Worker
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper
from app.store.tasks import get_many

HELD_SECONDS = 2.0
"""Patience for what workers hold."""
ORPHAN_SECONDS = 10.0
"""A message that was handed out a moment ago may be on its way into its worker's books."""
KNOWN_AT_ONCE = 500
"""Tasks looked up in the store at once."""
ENDED_BY_WORKER = frozenset({TaskState.SUCCESS, TaskState.FAILURE, TaskState.REJECTED})

log = structlog.get_logger()


class Sweep:
    """Searches queues and what is handed out for tasks of the ledger."""

    def __init__(self, transport: Transport, redis: Redis, fleet: Fleet, keeper: Keeper) -> None:
        self._transport = transport
        self._redis = redis
        self._fleet = fleet
        self._keeper = keeper
        self._nowhere: set[str] = set()

    async def run(self, workers: Iterable[Worker]) -> None:
        """Takes back what would run, and forgets what never will; `workers` are those online.

        Raises BrokerUnavailable, LeaseLost.
        """
        if pruned := await revokes.prune_revokes(self._redis, self._transport):
            log.warning("revokes that no worker ever spoke of are forgotten", tasks=pruned)
        open_revokes: dict[str, Revoke] = {}
        async for page in revokes.read_revokes(self._redis, self._transport):
            open_revokes |= {revoke.task_id: revoke for revoke in page}
        known = await self._known(list(open_revokes))
        over = [name for name, task in known.items() if task.state in ENDED_BY_WORKER]
        await revokes.forget(self._redis, self._transport, over)
        wanted = open_revokes.keys() - set(over)
        if not wanted:
            return
        queues = self._fleet.queue_names() | {self._transport.default_queue}
        queues |= {queue for revoke in open_revokes.values() if (queue := revoke.queue)}
        found = await withdraw(
            self._redis, self._transport, wanted, sorted(queues), pause=PAUSE_SECONDS
        )
        handed_out = await find_handed_out(self._redis, self._transport, wanted)
        orphans = await self._orphans(handed_out.orphans, {worker.name for worker in workers})
        taken = found.taken + orphans
        await store_revoked(self._transport, taken)
        if taken:
            log.info("messages of revoked tasks taken back", tasks=len(taken))
        left = found.left | handed_out.left
        if found.complete and handed_out.complete:
            await self._settle(wanted - {one.task_id for one in taken} - left, known)

    async def _settle(self, nowhere: set[str], known: Mapping[str, Task]) -> None:
        """Forgets what is revoked by a worker's word, though we missed the event that its message
        is gone: it is nowhere now, and was nowhere at the last sweep."""
        over = {
            task_id
            for task_id in nowhere
            if task_id in known and known[task_id].state is TaskState.REVOKED
        }
        await revokes.forget(self._redis, self._transport, sorted(over & self._nowhere))
        self._nowhere = over

    async def _orphans(self, handed_out: list[Orphan], there: set[str]) -> list[Withdrawn]:
        """Takes back messages whose workers are gone: everybody who is there says what it holds,
        and nobody holds these."""
        held = await self._held({one.message.headers.id for one in handed_out}, there)
        if held is None:
            return []
        orphans = [one for one in handed_out if one.message.headers.id not in held]
        before = time.time() - ORPHAN_SECONDS
        return await withdraw_orphans(self._redis, self._transport, orphans, before)

    async def _held(self, task_ids: set[str], there: set[str]) -> set[str] | None:
        """Which of these tasks workers hold; None where somebody who is there did not say."""
        if not task_ids:
            return set()
        known, complete = await self._ask("query_task", {"ids": sorted(task_ids)})
        # Before 5.7 that leaves out tasks that wait in a worker until they are due.
        scheduled, complete_too = await self._ask("scheduled", {})
        if not (complete and complete_too and known.keys() & scheduled.keys() >= there):
            return None
        later = read_held({}, {}, scheduled, time.time())
        return read_ids(known) | {task.task_id for task in later}

    async def _ask(
        self, method: str, arguments: Mapping[str, object]
    ) -> tuple[dict[str, str], bool]:
        return await ask_all(self._redis, self._transport, method, arguments, timeout=HELD_SECONDS)

    async def _known(self, task_ids: list[str]) -> dict[str, Task]:
        found: dict[str, Task] = {}
        for start in range(0, len(task_ids), KNOWN_AT_ONCE):
            some = task_ids[start : start + KNOWN_AT_ONCE]
            found |= await self._keeper.insist(get_many, self._keeper.db, some)
        return found
