"""Workers and queues as the JSON that REST, the event stream and scripts read."""

import msgspec
from msgspec import Raw, Struct

from app.domain.queues import Queue
from app.domain.workers import Worker, WorkerState
from app.feed.codec import path_part
from app.feed.times import moment, read_moment

_encoder = msgspec.json.Encoder()


class Links(Struct, frozen=True, rename={"self_": "self"}):
    """Where to go on from a worker or a queue."""

    self_: str
    page: str


class Registered(Struct, frozen=True):
    """A task that a worker has registered, with its doc and schema where it can say them."""

    name: str
    document: Raw | None


class WorkerJson(Struct, frozen=True, kw_only=True):
    """A worker in public. `skew_seconds` is its clock minus ours; `tasks` only one by one."""

    name: str
    state: WorkerState
    since: str | None
    heard_at: str | None
    skew_seconds: float | None
    pid: int | None
    started_at: str | None = None
    active: int | None
    processed: int | None
    loadavg: tuple[float, ...]
    heartbeat_seconds: float | None
    software: str | None
    pool: str | None
    concurrency: int | None
    prefetch: int | None
    queues: tuple[str, ...] | None
    tasks: list[Registered] | msgspec.UnsetType | None = msgspec.UNSET
    links: Links


class Depth(Struct, frozen=True):
    """Messages waiting in one priority step's list."""

    priority: int
    waiting: int


class QueueJson(Struct, frozen=True, kw_only=True):
    """A queue in public. `unacked`: handed out, not yet acknowledged; of these, `orphans` are
    with workers that are gone, and the first is handed out again at `redelivery_at`."""

    name: str
    measured_at: str | None
    waiting: int
    depths: list[Depth]
    unacked: int | None
    orphans: int | None
    redelivery_at: str | None
    oldest_id: str | None
    oldest_sent_at: str | None
    oldest_wait_seconds: float | None
    consumers: tuple[str, ...]
    links: Links


_worker_decoder = msgspec.json.Decoder(WorkerJson)
_queue_decoder = msgspec.json.Decoder(QueueJson)


def encode_worker(worker: Worker, *, tasks: bool = False) -> bytes:
    """The worker; with `tasks` also all that it has registered, which lists leave out."""
    registered = None
    if tasks and worker.catalog is not None:
        registered = [
            Registered(name, None if document is None else Raw(document))
            for name, document in worker.catalog
        ]
    path = "/workers/" + path_part(worker.name)
    return _encoder.encode(
        WorkerJson(
            name=worker.name,
            state=worker.state,
            since=moment(worker.since),
            heard_at=moment(worker.heard_at),
            skew_seconds=None if worker.skew is None else round(worker.skew, 3),
            pid=worker.pid,
            started_at=moment(worker.started_at),
            active=worker.active,
            processed=worker.processed,
            loadavg=worker.loadavg,
            heartbeat_seconds=worker.frequency,
            software=worker.software,
            pool=worker.pool,
            concurrency=worker.concurrency,
            prefetch=worker.prefetch,
            queues=worker.queues,
            tasks=registered if tasks else msgspec.UNSET,
            links=Links(path, "/ui" + path),
        )
    )


def decode_worker(data: bytes) -> Worker:
    """The worker of its JSON, without its catalog. Raises ValueError for other bytes."""
    found = _worker_decoder.decode(data)
    return Worker(
        name=found.name,
        state=found.state,
        since=read_moment(found.since) or 0.0,
        heard_at=read_moment(found.heard_at) or 0.0,
        skew=found.skew_seconds,
        pid=found.pid,
        started_at=read_moment(found.started_at),
        active=found.active,
        processed=found.processed,
        loadavg=found.loadavg,
        frequency=found.heartbeat_seconds,
        software=found.software,
        pool=found.pool,
        concurrency=found.concurrency,
        prefetch=found.prefetch,
        queues=found.queues,
    )


def encode_queue(queue: Queue) -> bytes:
    """The queue as it was last measured."""
    path = "/queues/" + path_part(queue.name)
    since = queue.oldest_sent_at
    return _encoder.encode(
        QueueJson(
            name=queue.name,
            measured_at=moment(queue.measured_at),
            waiting=queue.waiting,
            depths=[Depth(priority, waiting) for priority, waiting in queue.depths],
            unacked=queue.unacked,
            orphans=queue.orphans,
            redelivery_at=moment(queue.redelivery_at),
            oldest_id=queue.oldest_id,
            oldest_sent_at=moment(since),
            oldest_wait_seconds=None
            if since is None
            else round(max(0.0, queue.measured_at - since), 3),
            consumers=queue.consumers,
            links=Links(path, "/ui" + path),
        )
    )


def decode_queue(data: bytes) -> Queue:
    """The queue of its JSON. Raises ValueError for other bytes."""
    found = _queue_decoder.decode(data)
    return Queue(
        name=found.name,
        measured_at=read_moment(found.measured_at) or 0.0,
        depths=tuple((depth.priority, depth.waiting) for depth in found.depths),
        unacked=found.unacked,
        orphans=found.orphans,
        redelivery_at=read_moment(found.redelivery_at),
        oldest_id=found.oldest_id,
        oldest_sent_at=read_moment(found.oldest_sent_at),
        consumers=found.consumers,
    )
