"""Workers as they were last known."""

import hashlib
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from app.domain.workers import Worker, WorkerState
from app.store.bulk import Insert
from app.store.database import Database
from app.store.rows import ID_LENGTH, VALUE_LIMIT, clean
from app.store.schema import catalogs, workers

_PUT = Insert(
    workers,
    ("name", "state", "since", "heard_at", "document", "catalog"),
    "ON CONFLICT (name) DO UPDATE SET state = excluded.state,"
    " since = excluded.since, heard_at = excluded.heard_at, document = excluded.document,"
    " catalog = excluded.catalog",
    key=("name",),
)
_PUT_CATALOG = Insert(catalogs, ("digest", "document"), "ON CONFLICT DO NOTHING")
_IN_DOCUMENT = (
    "skew",
    "pid",
    "started_at",
    "active",
    "processed",
    "loadavg",
    "frequency",
    "software",
    "pool",
    "concurrency",
    "prefetch",
    "queues",
)
_TUPLES = ("loadavg", "queues")


def put(connection: Connection, batch: list[Worker]) -> None:
    """Writes workers as they are now."""
    rows = []
    documents: dict[str, str] = {}
    for worker in batch:
        digest = None
        if worker.catalog is not None:
            document = _text(worker.catalog)
            digest = hashlib.sha256(document.encode()).hexdigest()
            documents[digest] = document
        rest = _text({field: getattr(worker, field) for field in _IN_DOCUMENT})
        name = clean(worker.name, ID_LENGTH)
        rows.append((name, worker.state.value, worker.since, worker.heard_at, rest, digest))
    _PUT_CATALOG.run(connection, list(documents.items()))
    _PUT.run(connection, rows)


def _text(document: Any) -> str:
    try:
        return msgspec.json.encode(document).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_clean_within(document)).decode()


def _clean_within(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, VALUE_LIMIT)
    if isinstance(value, dict):
        return {key: _clean_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_within(item) for item in value]
    return value


_READ = select(*workers.columns, catalogs.c.document.label("registered")).select_from(
    workers.outerjoin(catalogs, catalogs.c.digest == workers.c.catalog)
)


def list_all(db: Database) -> list[Worker]:
    """Every worker that is known, by name."""
    query = _READ.order_by(workers.c.name)
    with db.reading() as connection:
        return [_worker(row) for row in connection.execute(query).mappings()]


def get(db: Database, name: str) -> Worker | None:
    """One worker; None if it was never heard of."""
    with db.reading() as connection:
        row = connection.execute(_READ.where(workers.c.name == name)).mappings().first()
    return _worker(row) if row else None


def _worker(row: RowMapping) -> Worker:
    rest = msgspec.json.decode(row["document"], type=dict[str, Any])
    for field in _TUPLES:
        if rest[field] is not None:
            rest[field] = tuple(rest[field])
    catalog = None
    if row["registered"] is not None:
        catalog = tuple(msgspec.json.decode(row["registered"], type=list[tuple[str, str | None]]))
    return Worker(
        name=row["name"],
        state=WorkerState(row["state"]),
        since=row["since"],
        heard_at=row["heard_at"],
        catalog=catalog,
        **rest,
    )
