"""What was sent from here a moment ago, kept beside the queues until more is heard of it.

It makes a task readable from the moment that its submission is answered, on any replica, even
while no recorder runs, and holds the true arguments that are too large for an event. It is
written by the same script that queues the messages, for only there can the two be atomic.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import cast
from zlib import crc32

from redis.asyncio import Redis

from app.broker.connection import reading
from app.broker.transport import Transport
from app.domain.events import TaskSent
from app.domain.tasks import Task, TaskState, Transition, seq_of

SUBMITTED = "umbel:submitted"
"""Hash: task id to what was sent."""
SUBMITTED_ORDER = "umbel:submitted:order"
"""List, oldest first: when, how many bytes, which id."""
SUBMITTED_BYTES = "umbel:submitted:bytes"
"""How many bytes the hash's values have together."""
LEDGER_SECONDS = 600
"""A recorder that was away for longer finds what still waits in the queues themselves."""
LEDGER_TASKS = 50_000
"""Tasks kept at most: five full batches, more than a recorder is ever behind."""
LEDGER_BYTES = 64 * 1024 * 1024
"""Bytes kept at most: two full batches of the largest arguments, JSON within JSON."""
READ_AT_ONCE = 500
"""Entries read with one command."""


async def find_submitted(redis: Redis, transport: Transport, task_id: str) -> Task | None:
    """The task as it was sent from here, PENDING; None if that was long ago or never.

    Raises BrokerUnavailable.
    """
    return (await find_all_submitted(redis, transport, [task_id])).get(task_id)


async def find_all_submitted(
    redis: Redis, transport: Transport, task_ids: Sequence[str]
) -> dict[str, Task]:
    """Those of these tasks that were sent from here of late, by id. Raises BrokerUnavailable."""
    found: dict[str, Task] = {}
    with reading(transport.url):
        for start in range(0, len(task_ids), READ_AT_ONCE):
            page = list(task_ids[start : start + READ_AT_ONCE])
            entries = await redis.hmget(SUBMITTED, page)
            for task_id, entry in zip(page, entries, strict=True):
                if entry is not None:
                    found[task_id] = read_entry(task_id, entry)
    return found


async def find_sent(redis: Redis, transport: Transport) -> AsyncIterator[list[TaskSent]]:
    """All that was sent from here of late, page by page, as the events that told of it.

    Raises BrokerUnavailable.
    """
    cursor = 0
    while True:
        with reading(transport.url):
            cursor, entries = await redis.hscan(SUBMITTED, cursor, count=READ_AT_ONCE)
        if entries:
            sent = cast(dict[bytes, bytes], entries)
            yield [_sent(read_entry(key.decode(), entry)) for key, entry in sent.items()]
        if cursor == 0:
            return


def _sent(task: Task) -> TaskSent:
    return TaskSent(
        task_id=task.id,
        at=task.sent_at or 0.0,
        heard_at=time.time(),
        name=task.name,
        args=task.args,
        kwargs=task.kwargs,
        queue=task.queue,
        priority=task.priority,
        eta=task.eta,
        expires=task.expires,
        root_id=task.root_id,
        parent_id=task.parent_id,
        retry_of=task.retry_of,
    )


def read_entry(task_id: str, entry: bytes | str) -> Task:
    """The task that an entry of the ledger stands for."""
    at, name, args, kwargs, queue, priority, eta, expires, root, parent, retry_of = json.loads(
        entry
    )
    return Task(
        id=task_id,
        # The place that the recorder will give it when it hears of the same moment.
        seq=seq_of(at, crc32(task_id.encode())),
        name=name,
        state=TaskState.PENDING,
        args=args,
        kwargs=kwargs,
        queue=queue,
        priority=priority,
        eta=_moment(eta),
        expires=_moment(expires),
        sent_at=at,
        root_id=root,
        parent_id=parent,
        retry_of=retry_of,
        transitions=[Transition(TaskState.PENDING, at)],
    )


def _moment(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
