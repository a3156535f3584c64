"""The one way in which anything is done: may they? write it down, do it, write down how it went."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ParamSpec, Protocol, TypeVar

from app.domain.errors import Refused, UmbelError
from app.operations.actor import Action, Actor, may
from app.store import audit
from app.store.audit import AuditEntry
from app.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")


class Run(Protocol):
    """Runs something that blocks in a thread."""

    async def __call__(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `read` answers; raises what it raises."""


def permit(actor: Actor, action: Action) -> None:
    """Raises Refused where this actor may not do that."""
    if not may(actor, action):
        raise Refused(f"{actor.name} may not {action.value}.")


async def perform(
    db: Database,
    run: Run,
    actor: Actor,
    action: Action,
    act: Callable[[], Awaitable[T]],
    *,
    target: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> T:
    """Do it for this actor. Raises Refused, StoreUnavailable where it can't be written down,
    and whatever `act` raises; nothing is done unless it has been written down before."""
    permit(actor, action)
    entry = AuditEntry(
        at=time.time(),
        actor=actor.name,
        address=actor.address,
        action=action.value,
        target=target,
        detail=json.dumps(detail or {}),
    )
    number = await run(audit.record, db, entry)
    outcome = "failed"
    try:
        answer = await act()
        outcome = "done"
        return answer
    except UmbelError as error:
        outcome = f"refused: {error}"
        raise
    finally:
        await run(audit.outcome, db, number, outcome, time.time())
