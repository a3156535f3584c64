"""All that can be done to tasks, by whoever may: from a button, REST or a shell alike.

A command never edits what is believed of a task; only the events that follow do.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from redis.asyncio import Redis

from app.broker.ledger import find_all_submitted
from app.broker.message import Submission
from app.broker.publish import Published, Publisher
from app.broker.transport import Transport
from app.domain.errors import Conflict, NotFound
from app.domain.tasks import Task
from app.domain.views import SavedView
from app.operations.actor import Action, Actor
from app.operations.catalog import Catalog, CurrentCatalog
from app.operations.mark import check_marker
from app.operations.performing import Run, perform, permit
from app.operations.retry import Changes, again
from app.operations.revoke import Requested, check_open, check_signal, send_revoke
from app.operations.submit import check_all, fingerprint, is_usual
from app.store import markers, tasks, views
from app.store.database import Database
from app.store.markers import Marker

__all__ = ["Changes", "Operations", "Requested"]

ARGUMENTS_TOLD = 200
"""Characters of arguments in the audit's detail; the task itself has them whole."""


class Operations:
    """What a person may do. `run` runs blocking calls of the store in a thread."""

    def __init__(
        self, *, db: Database, publisher: Publisher, broker: Redis, transport: Transport, run: Run
    ) -> None:
        self._db = db
        self._publisher = publisher
        self._broker = broker
        self._transport = transport
        self._run = run
        self._catalog = CurrentCatalog(db, run)

    async def catalog(self) -> Catalog:
        """The tasks that can be submitted. Raises StoreUnavailable."""
        return await self._catalog.get()

    async def submit(
        self, actor: Actor, submission: Submission, idempotency_key: str | None = None
    ) -> Published:
        """Send one task. Raises BadInput, UnknownTaskName, Conflict, Unavailable."""
        since = time.monotonic()
        catalog = self._catalog.fresh() or await self._catalog.get()
        if not is_usual(submission, catalog):
            await check_all([submission], catalog, batch=False)
        # Without a line in the audit: the task is its record, and a line for each would cost more
        # than sending it does.
        permit(actor, Action.SUBMIT)
        return await self._publish([submission], idempotency_key, since)

    async def submit_batch(
        self, actor: Actor, submissions: Sequence[Submission], idempotency_key: str | None = None
    ) -> Published:
        """Send tasks in order, all or none. Raises as `submit` does."""
        since = time.monotonic()
        await check_all(submissions, await self._catalog.get(), batch=True)
        return await perform(
            self._db,
            self._run,
            actor,
            Action.SUBMIT_BATCH,
            lambda: self._publish(submissions, idempotency_key, since),
            detail={"tasks": len(submissions)},
        )

    async def revoke(
        self, actor: Actor, task_id: str, *, terminate: bool = False, signal: str = "SIGTERM"
    ) -> Requested:
        """Ask the workers not to run a task, or with `terminate` to end it if it runs.

        Raises NotFound, Conflict where it has ended, BadInput for a signal that is not allowed,
        Unavailable.
        """
        signal = check_signal(signal)
        task = await self._find(task_id)
        check_open(task)
        return await perform(
            self._db,
            self._run,
            actor,
            Action.TERMINATE if terminate else Action.REVOKE,
            lambda: send_revoke(
                self._broker,
                self._transport,
                task,
                by=actor.name,
                terminate=terminate,
                signal=signal,
            ),
            target=task_id,
            detail={"terminate": terminate, "signal": signal} if terminate else {},
        )

    async def retry(
        self,
        actor: Actor,
        task_id: str,
        changes: Changes | None = None,
        idempotency_key: str | None = None,
    ) -> Published:
        """Run a task again as a new one. Raises NotFound, BadInput, Unavailable, and Conflict
        where its true arguments are not known and none were given."""
        since = time.monotonic()
        changes = changes or Changes()
        submission = again(await self._find_whole(task_id), changes)
        catalog = await self._catalog.get()
        known = submission.name in catalog.entries
        await check_all([submission], catalog, batch=False, checked=changes.arguments and known)
        told = (submission.args + submission.kwargs)[:ARGUMENTS_TOLD] if changes.arguments else None
        return await perform(
            self._db,
            self._run,
            actor,
            Action.RETRY,
            lambda: self._publish([submission], idempotency_key, since),
            target=task_id,
            detail={"name": submission.name, "given": told},
        )

    async def mark(self, actor: Actor, marker: Marker) -> Marker:
        """Say that something happened; the marker with its number. Raises BadInput,
        StoreUnavailable."""
        check_marker(marker)
        number = await perform(
            self._db,
            self._run,
            actor,
            Action.MARK,
            lambda: self._run(markers.add, self._db, marker),
            detail={"at": marker.at, "title": marker.title, "version": marker.version},
        )
        return replace(marker, id=number)

    async def unmark(self, actor: Actor, number: int) -> None:
        """Take a marker away. Raises NotFound, StoreUnavailable."""

        async def remove() -> None:
            if not await self._run(markers.remove, self._db, number):
                raise NotFound(f"There is no marker {number}.")

        await perform(self._db, self._run, actor, Action.UNMARK, remove, detail={"marker": number})

    async def save_view(self, actor: Actor, view: SavedView, *, replace: bool = False) -> bool:
        """Keep a view for everybody; whether there was none of that name. Raises Conflict where
        there is one that is not to be replaced, or as many as are kept, and StoreUnavailable."""
        return await perform(
            self._db,
            self._run,
            actor,
            Action.SAVE_VIEW,
            lambda: self._run(views.save, self._db, view, replace=replace),
            detail={"view": view.name, "q": view.search, "replace": replace},
        )

    async def remove_view(self, actor: Actor, name: str) -> None:
        """Take a view away for everybody. Raises NotFound, StoreUnavailable."""

        async def remove() -> None:
            if not await self._run(views.remove, self._db, name):
                raise NotFound(f"There is no view {name[:100]!r}.")

        await perform(self._db, self._run, actor, Action.REMOVE_VIEW, remove, detail={"view": name})

    async def _publish(
        self, submissions: Sequence[Submission], key: str | None, since: float
    ) -> Published:
        if len(submissions) != 1 or submissions[0].task_id is not None:
            # It takes more than to send one: whoever waits is told in time that it is in vain.
            await self._publisher.check(since)
            await self._check_ids(submissions, key)
        idempotency = None if key is None else (key, fingerprint(submissions))
        return await self._publisher.publish(submissions, idempotency=idempotency)

    async def _check_ids(self, submissions: Sequence[Submission], key: str | None) -> None:
        """Raises Conflict for an id that is taken, unless a replay may be what took it."""
        given = [one.task_id for one in submissions if one.task_id is not None]
        if not given:
            return
        if len(set(given)) < len(given):
            raise Conflict("Two tasks of the batch were given the same id.")
        if key is None:
            taken = await self._run(tasks.get_many, self._db, given)
            taken |= await find_all_submitted(self._broker, self._transport, given)
            if taken:
                raise Conflict(f"There is a task with the id {next(iter(taken))!r} already.")

    async def _find(self, task_id: str) -> Task:
        found = await self._run(tasks.get, self._db, task_id)
        if found is None:
            found = (await self._submitted(task_id)).get(task_id)
        if found is None:
            raise NotFound(f"No task {task_id!r} was ever heard of.")
        return found

    async def _find_whole(self, task_id: str) -> Task:
        """The task with its true arguments, also where they were too large for its event."""
        found = await self._find(task_id)
        if found.args is not None and found.kwargs is not None:
            return found
        sent = (await self._submitted(task_id)).get(task_id)
        if sent is not None:
            found.args, found.kwargs = sent.args, sent.kwargs
        return found

    async def _submitted(self, task_id: str) -> dict[str, Task]:
        return await find_all_submitted(self._broker, self._transport, [task_id])
