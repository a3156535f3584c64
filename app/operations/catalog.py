"""The tasks that may be submitted: what online workers have registered, and the samples."""

import asyncio
import difflib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.domain.errors import UnknownTaskName
from app.domain.events import Json
from app.domain.workers import Worker, WorkerState
from app.operations.performing import Run
from app.operations.samples import SAMPLES
from app.store import workers
from app.store.database import Database

CATALOG_AGE = 1.0
"""Seconds for which a catalog is used: a new worker's tasks can be submitted after that."""
NEAR_NAMES = 3
"""Names told to somebody who mistyped one."""
NAMES_COMPARED = 2_000
"""Names that a mistyped one is compared with; comparing is slow."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered task: its documentation, and its arguments' schema where workers tell it.

    While two versions of an application run there can be several schemas, one a version.
    """

    name: str
    doc: str | None = None
    schemas: tuple[Json, ...] = ()
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """The registered tasks by name, in alphabetical order."""

    entries: Mapping[str, Entry]

    def find(self, name: str) -> Entry:
        """The entry of that name. Raises UnknownTaskName, with names that are nearly it."""
        found = self.entries.get(name) or SAMPLES_BY_NAME.get(name)
        if found is None:
            raise UnknownTaskName(self._unknown(name))
        return found

    def _unknown(self, name: str) -> str:
        if not self.entries:
            return f"No task {name!r} is registered: no worker is online."
        known = list(self.entries)[:NAMES_COMPARED]
        near = difflib.get_close_matches(name, known, NEAR_NAMES, 0.5)
        near += [other for other in known if other.endswith(f".{name}") and other not in near]
        hint = f" Near it: {', '.join(near[:NEAR_NAMES])}." if near else ""
        return f"No online worker has registered a task {name!r}.{hint}"


def read_catalog(db: Database) -> Catalog:
    """What the online workers have registered, as the store knows it. Blocks."""
    return merge(worker for worker in workers.list_all(db) if worker.state is WorkerState.ONLINE)


def merge(online: Iterable[Worker]) -> Catalog:
    """One catalog of what several workers have registered."""
    found: dict[str, Entry] = {}
    for worker in online:
        for name, document in worker.catalog or ():
            found[name] = _joined(found.get(name), name, worker.name, document)
    return Catalog(dict(sorted(found.items())))


class CurrentCatalog:
    """The catalog as it is now, give or take `CATALOG_AGE`; read once for all who ask."""

    def __init__(self, db: Database, run: Run) -> None:
        self._db = db
        self._run = run
        self._catalog: Catalog | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def get(self) -> Catalog:
        """The catalog. Raises StoreUnavailable."""
        if (fresh := self.fresh()) is not None:
            return fresh
        async with self._reading:
            if (fresh := self.fresh()) is not None:
                return fresh
            self._catalog = await self._run(read_catalog, self._db)
            self._read_at = time.monotonic()
            return self._catalog

    def fresh(self) -> Catalog | None:
        """The same where it need not be read."""
        fresh = time.monotonic() - self._read_at < CATALOG_AGE
        return self._catalog if fresh else None


def _joined(before: Entry | None, name: str, worker: str, document: Json | None) -> Entry:
    doc, schema = _parts(document)
    if before is None:
        return Entry(name, doc, (schema,) if schema else (), (worker,))
    schemas = before.schemas
    if schema and schema not in schemas:
        schemas = (*schemas, schema)
    return Entry(name, before.doc or doc, schemas, (*before.workers, worker))


def _parts(document: Json | None) -> tuple[str | None, Json | None]:
    if document is None:
        return None, None
    try:
        parts = json.loads(document)
        doc, schema = parts.get("doc"), parts.get("schema")
    except (ValueError, AttributeError, RecursionError):
        return None, None
    return (
        doc if isinstance(doc, str) else None,
        json.dumps(schema) if isinstance(schema, dict) else None,
    )


SAMPLES_BY_NAME = {name: Entry(name, doc, (schema,)) for name, (doc, schema) in SAMPLES.items()}
