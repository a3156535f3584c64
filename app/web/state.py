"""Everything that a request can need, wired once in `app.main` and never changed after."""

from dataclasses import dataclass

from fastapi import Request
from redis.asyncio import Redis
from starlette.types import Scope

from app.broker.transport import Transport
from app.domain.label import Label
from app.domain.links import Links
from app.feed.tail import Tail
from app.operations.operations import Operations
from app.store.database import Database
from app.web.health import Health
from app.web.news import News
from app.web.quality import Quality
from app.web.reading import Reading
from app.web.streams import Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Umbel:
    """One web process: what it reads from, acts through, and tells its viewers by.

    `db` blocks: read it with `await umbel.reading(app.store.tasks.get, umbel.db, task_id)`.
    """

    db: Database
    reading: Reading
    transport: Transport
    broker: Redis
    operations: Operations
    tail: Tail
    news: News
    streams: Streams
    health: Health
    quality: Quality
    version: str
    label: Label
    started_at: float
    links: Links


def umbel_of(request: Request) -> Umbel:
    """What was wired for the application that this request reached."""
    return of_scope(request.scope)


def of_scope(scope: Scope) -> Umbel:
    """The same for a plain ASGI endpoint."""
    umbel: Umbel = scope["app"].state.umbel
    return umbel
