"""Wires the web process: the only place where settings, parts and routes meet."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from app.broker.connection import connect
from app.broker.durable import stream_beside_queues
from app.broker.publish import Publisher
from app.broker.transport import Transport
from app.domain.errors import StoreUnavailable
from app.feed.replicas import stay_registered, this_process
from app.feed.stream import connect_feed
from app.feed.tail import Tail
from app.operations.operations import Operations
from app.settings import Settings, check_openness, is_loopback
from app.store.database import Database
from app.web import api_routes, security
from app.web.application import Application
from app.web.errors import install_errors
from app.web.health import Health
from app.web.news import News
from app.web.packing import Packing
from app.web.pages import install_pages
from app.web.pages.stream import STREAMS as PAGE_STREAMS
from app.web.quality import Quality
from app.web.reading import Reading
from app.web.state import Umbel
from app.web.streams import Streams

VERSION = version("umbel")
DESCRIPTION = "The live control plane for Celery: every task as it happens."

CANCEL_AGAIN = 0.2
"""Seconds after which a task that was cancelled and goes on is cancelled again."""

BEGIN_AGAIN = 1.0
"""Seconds before work that an error has ended is begun anew: one that stays costs little."""

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The web application. Opens nothing until it is served. Raises BadSetting."""
    check_openness(settings)
    transport = settings.transport()
    app = Application(
        title="Umbel",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # It asks the environment for a tracer at every request; ours is `GET /metrics`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=_lifespan(settings, transport),
    )
    api_routes.install(app)
    install_errors(app, install_pages(app))
    _install_security(app, settings)
    return app


def _install_security(app: Application, settings: Settings) -> None:
    app.add_middleware(Packing)
    names = security.known_names(settings.host, settings.allowed_hosts)
    gate = partial(
        security.Gate,
        names=names,
        addresses=not is_loopback(settings.host),
        direct=api_routes.DIRECT,
        streams={**api_routes.STREAMS, **PAGE_STREAMS},
    )
    app.put_behind(gate)


def _lifespan(settings: Settings, transport: Transport) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.umbel = await _open(settings, transport, stack)
            yield

    return lifespan


async def _open(settings: Settings, transport: Transport, stack: AsyncExitStack) -> Umbel:
    """Opens every part, in the order in which one needs the other; `stack` closes them."""
    db = await _open_store(settings.database_url)
    stack.callback(db.close)
    reading = Reading()
    stack.callback(reading.close)
    broker = connect(transport.url)
    stack.push_async_callback(broker.aclose)
    stream = stream_beside_queues(transport, settings.redis_url)
    publisher = Publisher(transport, stream, settings.events_bytes)
    await publisher.open()
    stack.push_async_callback(publisher.close)
    feed_url = settings.redis_url or transport.url
    feed = connect_feed(feed_url)
    stack.push_async_callback(feed.aclose)
    tail = Tail(feed_url)
    news = News(tail)
    streams = Streams()
    streams.on_close(news.wake_all)
    health = Health(db, reading, broker, transport, tail)
    operations = Operations(
        db=db, publisher=publisher, broker=broker, transport=transport, run=reading
    )
    for name, work in (
        ("tail", tail.run),
        ("replica", partial(stay_registered, feed, this_process("web"))),
        ("news", news.run),
        ("streams", partial(streams.run, tail)),
        ("health", health.run),
    ):
        await stack.enter_async_context(running(name, work))
    return Umbel(
        db=db,
        reading=reading,
        transport=transport,
        broker=broker,
        operations=operations,
        tail=tail,
        news=news,
        streams=streams,
        health=health,
        quality=Quality(db, reading),
        version=VERSION,
        label=settings.label,
        started_at=time.time(),
        links=settings.links,
    )


async def _open_store(url: str) -> Database:
    """The store; one that is away is looked for at each use, and pages say so meanwhile."""
    db = Database.at(url)
    try:
        await asyncio.to_thread(db.prepare)
    except StoreUnavailable as error:
        log.error("the store is not there yet: %s", error)
    except BaseException:
        db.close()
        raise
    return db


@asynccontextmanager
async def running(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Has `work` done beside the block, and cancels it after."""
    task = asyncio.create_task(_keep_running(name, work), name=name)
    try:
        yield
    finally:
        while not task.done():
            # Once is not always enough: a library may take it for the end of its own timeout.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN)


async def _keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Does it, and begins anew after an error that nobody foresaw: pages and streams need it."""
    while True:
        try:
            return await work()
        except Exception:
            log.critical("%s stopped by an error; it begins anew", name, exc_info=True)
            await asyncio.sleep(BEGIN_AGAIN)
