"""Whether events are flowing: broker, store and recorder, each looked at once a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request
from redis.asyncio import Redis
from starlette.responses import Response

from app.broker.connection import reading
from app.broker.transport import Transport
from app.domain.errors import UmbelError
from app.feed.tail import Tail
from app.feed.times import moment
from app.store.database import Database
from app.web import state
from app.web.errors import PROBLEM
from app.web.openapi import documented
from app.web.reading import Reading

LOOK_SECONDS = 1.0
"""Between two looks; each costs one PING and one SELECT."""
LOOK_TIMEOUT = 2.5
"""Seconds until a part that does not answer counts as away; the broker's own limit is 2."""

router = APIRouter(tags=["health"])


@dataclass(frozen=True, slots=True)
class Part:
    """One part's condition: `since` when it is as it is, `reason` why it isn't well."""

    ok: bool
    since: float
    reason: str = ""


class PartJson(msgspec.Struct, frozen=True):
    """Whether a part is well, since when that is so, and why not."""

    ok: bool
    since: str | None
    reason: str | None


class Ready(msgspec.Struct, frozen=True):
    """Every part that events flow through."""

    status: str
    broker: PartJson
    store: PartJson
    recorder: PartJson


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document that also carries every part."""

    type: str = "about:blank"
    title: str = "Events are not flowing"
    status: int = 503
    detail: str
    instance: str
    broker: PartJson
    store: PartJson
    recorder: PartJson


class Alive(msgspec.Struct, frozen=True):
    """The process is up."""

    status: str
    version: str
    started_at: str | None


class Health:
    """What the last look at each part found; `run` looks."""

    def __init__(
        self, db: Database, store_reads: Reading, broker: Redis, transport: Transport, tail: Tail
    ) -> None:
        self._db, self._reading = db, store_reads
        self._broker, self._transport = broker, transport
        self._tail = tail
        unknown = Part(False, time.time(), "not looked at yet")
        self.broker = unknown
        self.store = unknown
        self._silent_since = unknown.since

    @property
    def recorder(self) -> Part:
        """Whether what happens is heard, kept and announced: the condition of all live views."""
        if not self._tail.connected:
            return Part(False, self._tail.status_since, self._tail.reason)
        status = self._tail.recorder
        if status is None:
            return Part(False, self._silent_since, "no recorder is running")
        return Part(status.live, status.since, status.reason)

    @property
    def ready(self) -> bool:
        """Whether every part is well."""
        return self.broker.ok and self.store.ok and self.recorder.ok

    @property
    def reason(self) -> str:
        """What is wrong, part by part; "" when nothing is."""
        parts = (("broker", self.broker), ("store", self.store), ("recorder", self.recorder))
        return "; ".join(f"{name}: {part.reason}" for name, part in parts if not part.ok)

    async def run(self) -> None:
        """Looks at broker and store until cancelled."""
        while True:
            if self._tail.recorder is not None:
                self._silent_since = time.time()
            self.broker, self.store = await asyncio.gather(
                _look(self.broker, self._ping_broker),
                _look(self.store, lambda: self._reading(self._db.ping)),
            )
            await asyncio.sleep(LOOK_SECONDS)

    async def _ping_broker(self) -> None:
        with reading(self._transport.url):
            await self._broker.ping()


async def _look(before: Part, ask: Callable[[], Awaitable[object]]) -> Part:
    reason = ""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            await ask()
    except TimeoutError:
        reason = f"no answer within {LOOK_TIMEOUT} s"
    except UmbelError as error:
        reason = str(error)
    same = before.ok == (not reason)
    return Part(not reason, before.since if same else time.time(), reason)


@router.get(
    "/healthz",
    **documented("Whether the process is up", answers={200: Alive}),
)
async def show_alive(request: Request) -> Response:
    """Answers as long as the process can answer, whatever else is down."""
    umbel = state.umbel_of(request)
    found = Alive("ok", umbel.version, moment(umbel.started_at))
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get(
    "/readyz",
    **documented("Whether events are flowing", answers={200: Ready, 503: NotReady}),
)
async def show_ready(request: Request) -> Response:
    """Broker, store and recorder, each said with since and reason; 503 unless all are well."""
    health = state.umbel_of(request).health
    broker, store, recorder = map(_shown, (health.broker, health.store, health.recorder))
    if health.ready:
        body = msgspec.json.encode(Ready("ready", broker, store, recorder))
        return Response(body, media_type="application/json")
    refusal = NotReady(
        detail=health.reason,
        instance="/readyz",
        broker=broker,
        store=store,
        recorder=recorder,
    )
    return Response(
        msgspec.json.encode(refusal), 503, {"Retry-After": "2"}, media_type=PROBLEM
    )


def _shown(part: Part) -> PartJson:
    return PartJson(part.ok, moment(part.since), part.reason or None)
