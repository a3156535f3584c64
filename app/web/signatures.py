"""What workers tell of their tasks' arguments, as far as a search asks for them by name."""

import json
from functools import lru_cache

from app.domain.filters import TaskFilter, with_places
from app.operations.catalog import Catalog
from app.web.state import Umbel

SCHEMAS_KEPT = 1_000
"""Schemas of which the names are kept: an application has some hundreds of tasks."""


async def placed(umbel: Umbel, wanted: TaskFilter) -> TaskFilter:
    """The filter that finds its arguments by place too, in tasks whose workers tell their
    signatures. Raises StoreUnavailable."""
    if not wanted.arguments:
        return wanted
    return with_places(wanted, signatures(await umbel.operations.catalog()))


def signatures(catalog: Catalog) -> dict[str, list[tuple[str, ...]]]:
    """Of each task the names of its arguments by place, once for each version of it."""
    return {
        name: [names_of(schema)[0] for schema in entry.schemas]
        for name, entry in catalog.entries.items()
    }


@lru_cache(maxsize=SCHEMAS_KEPT)
def names_of(schema: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of arguments by place, and all names; none of a schema that is none."""
    try:
        document = json.loads(schema)
        positional, properties = document.get("x-positional", []), document.get("properties", {})
    except (ValueError, AttributeError, RecursionError):
        return (), ()
    return _texts(positional), _texts(properties)


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list | dict):
        return ()
    return tuple(one for one in found if isinstance(one, str))
