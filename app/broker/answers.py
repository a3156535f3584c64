"""What workers answer when they are asked, as the domain's events."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from app.broker import texts
from app.broker.careful import exact, loads, repair
from app.domain.errors import BadInput
from app.domain.events import Json, TaskFound, WorkerReported

CATALOG_LIMIT = 5000
"""Tasks that one worker can register with us; a large application has some hundreds."""
DOCUMENT_LIMIT = 65_536
"""Characters of one task's entry in the catalog: its documentation and its schema."""
QUEUES_LIMIT = 1000
"""Queues that one worker can name."""
HELD_LIMIT = 20_000
"""Tasks that one worker can say it holds; ETA tasks all count, for they raise its prefetch."""

Asked = Mapping[str, Json]
"""Answers to one question by worker."""


class Stats(msgspec.Struct, gc=False):
    """What `stats` says of a worker; `pool` is a mapping that each pool fills otherwise."""

    pid: int | None = None
    prefetch_count: int | None = None
    uptime: float | None = None
    pool: dict[str, object] | None = None


class Pool(msgspec.Struct, gc=False):
    """The two things that every pool says of itself."""

    implementation: str | None = None
    max_concurrency: int | None = msgspec.field(name="max-concurrency", default=None)


class Held(msgspec.Struct, gc=False):
    """A task that a worker holds, as `active`, `reserved` and `scheduled` have it."""

    id: str
    name: str | None = None
    type: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"")
    kwargs: msgspec.Raw = msgspec.Raw(b"")
    time_start: float | None = None
    delivery_info: dict[str, object] | None = None


class Delivery(msgspec.Struct, gc=False):
    """Where the message of a held task came from."""

    routing_key: str | None = None
    priority: int | None = None


def read_reports(
    stats: Asked, queues: Asked, registered: Asked, catalog: Asked, heard_at: float
) -> Iterator[WorkerReported]:
    """One report for each worker that answered anything."""
    for worker in sorted({*stats, *queues, *registered, *catalog}):
        said = _document(stats.get(worker))
        found = repair(Stats, said if isinstance(said, dict) else {}, Counter())
        pool = repair(Pool, found.pool or {}, Counter())
        uptime = texts.duration(found.uptime)
        if name := texts.name(worker):
            yield WorkerReported(
                worker=name,
                at=heard_at,
                heard_at=heard_at,
                pid=texts.count(found.pid),
                pool=short_pool(pool.implementation),
                concurrency=texts.count(pool.max_concurrency),
                prefetch=texts.count(found.prefetch_count),
                queues=_queues(_document(queues.get(worker))),
                catalog=_catalog(_document(registered.get(worker)), _document(catalog.get(worker))),
                started_at=None if uptime is None else heard_at - uptime,
            )


def read_pid(stats: Json) -> int | None:
    """The process that a worker's `stats` come from."""
    said = _document(stats)
    return texts.count(repair(Stats, said if isinstance(said, dict) else {}, Counter()).pid)


def read_uptime(stats: Json) -> float | None:
    """The seconds that the process has run, by its own count."""
    said = _document(stats)
    return texts.duration(repair(Stats, said if isinstance(said, dict) else {}, Counter()).uptime)


def read_visibility_timeout(conf: Json) -> float | None:
    """What a worker's settings say of it, in seconds; None where they leave it at Celery's own."""
    said = _document(conf)
    options = said.get("broker_transport_options") if isinstance(said, dict) else None
    given = options.get("visibility_timeout") if isinstance(options, dict) else None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return texts.duration(given) or None


def holds_more(answer: Json) -> bool:
    """It says that it holds more tasks than are read, or could not say what it holds."""
    found = _document(answer)
    return not isinstance(found, list) or len(found) > HELD_LIMIT


def is_refusal(answer: Json) -> bool:
    """The worker could not answer, as one that does not know the question."""
    return _document(answer) is None


def read_held(active: Asked, reserved: Asked, scheduled: Asked, at: float) -> Iterator[TaskFound]:
    """The tasks that workers run, have fetched, or keep until their ETA."""
    for worker, given in _each(active):
        yield from _found(worker, given, at, running=True)
    for worker, given in _each(reserved):
        yield from _found(worker, given, at)
    for worker, given in _each(scheduled):
        yield from _found(worker, given.get("request"), at, eta=given.get("eta"))


def read_ids(known: Asked) -> set[str]:
    """The ids that workers know of, of those that `query_task` asked for."""
    found: set[str] = set()
    for answer in known.values():
        said = _document(answer)
        if isinstance(said, dict):
            found.update(map(str, said))
    return found


def read_exchanges(queues: Asked) -> set[str]:
    """The exchanges that the workers' queues are bound to."""
    return {
        name
        for _, given in _each(queues)
        if isinstance(exchange := given.get("exchange"), dict)
        and isinstance(name := exchange.get("name"), str)
        and 0 < len(name) <= texts.NAME_LIMIT
    }


def short_pool(implementation: str | None) -> str | None:
    """`prefork` of `celery.concurrency.prefork:TaskPool`: the name that `-P` takes."""
    if not implementation:
        return None
    module = implementation.partition(":")[0].rpartition(".")[2]
    return texts.name({"thread": "threads"}.get(module, module))


def _document(answer: Json | None) -> object:
    """An answer decoded; None where there is none, or where it is an error."""
    if answer is None:
        return None
    try:
        found = loads(answer)
    except BadInput:
        return None
    return None if isinstance(found, dict) and set(found) == {"error"} else found


def _each(asked: Asked) -> Iterator[tuple[str, dict[object, object]]]:
    for worker, answer in asked.items():
        found = _document(answer)
        if isinstance(found, list):
            yield from ((worker, one) for one in found[:HELD_LIMIT] if isinstance(one, dict))


def _found(
    worker: str, given: object, at: float, *, running: bool = False, eta: object = None
) -> Iterator[TaskFound]:
    if not isinstance(given, dict):
        return
    try:
        held = repair(Held, given, Counter())
        own = texts.task_id(held.id)
    except BadInput:
        return
    delivery = repair(Delivery, held.delivery_info or {}, Counter())
    args, args_repr = _argument(held.args)
    kwargs, kwargs_repr = _argument(held.kwargs)
    yield TaskFound(
        task_id=own,
        at=at,
        heard_at=at,
        name=texts.name(held.name or held.type),
        args=args,
        kwargs=kwargs,
        args_repr=args_repr,
        kwargs_repr=kwargs_repr,
        queue=texts.name(delivery.routing_key),
        worker=texts.name(worker),
        running=running,
        started_at=texts.point_in_time(held.time_start) if running else None,
        priority=texts.priority(delivery.priority),
        eta=texts.point_in_time(eta) if isinstance(eta, str | int | float) else None,
    )


def _argument(value: msgspec.Raw) -> tuple[Json | None, str | None]:
    """The true value, or the repr that Celery gives in its place."""
    text = texts.json_text(value)
    if text is not None and text.startswith('"'):
        return None, texts.shorten(str(loads(text)), texts.REPR_LIMIT)
    return (None if text == "null" else text), None


def _queues(said: object) -> tuple[str, ...] | None:
    if not isinstance(said, list):
        return None
    names = (one.get("name") for one in said[:QUEUES_LIMIT] if isinstance(one, dict))
    found = (texts.name(name) for name in names if isinstance(name, str))
    return tuple(dict.fromkeys(name for name in found if name))


def _catalog(registered: object, catalog: object) -> tuple[tuple[str, Json | None], ...] | None:
    """Each task with its document, or with its name alone where the worker has no plugin."""
    if isinstance(catalog, dict):
        pairs: Iterable[tuple[object, Json | None]] = (
            (name, _entry(document)) for name, document in catalog.items()
        )
    elif isinstance(registered, list):
        # A worker puts settings of the task behind its name: "app.add [rate_limit=100/m]".
        pairs = ((str(one).partition(" [")[0], None) for one in registered)
    else:
        return None
    found: dict[str, Json | None] = {}
    for name, document in pairs:
        if len(found) < CATALOG_LIMIT and isinstance(name, str) and (fit := texts.name(name)):
            found[fit] = document
    return tuple(sorted(found.items()))


def _entry(document: object) -> Json | None:
    raw = exact(document) if isinstance(document, dict) else None
    return None if raw is None or len(bytes(raw)) > DOCUMENT_LIMIT else bytes(raw).decode()
