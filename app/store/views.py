"""Saved views of the list of tasks: everybody's, by their names."""

import time

from sqlalchemy import delete, func, insert, select

from app.domain.columns import USUAL, parse_columns
from app.domain.errors import BadInput, Conflict
from app.domain.filters import parse_sort
from app.domain.views import MAX_VIEWS, SavedView
from app.store.database import Database
from app.store.schema import saved_views


def list_all(db: Database) -> list[SavedView]:
    """All of them by name."""
    query = select(saved_views).order_by(func.lower(saved_views.c.name), saved_views.c.name)
    with db.reading() as connection:
        return [_view(**row) for row in connection.execute(query).mappings()]


def save(db: Database, view: SavedView, *, replace: bool) -> bool:
    """Keeps it; whether there was none of that name before. Raises Conflict where there is one
    that is not to be replaced, and where there are MAX_VIEWS others."""
    values = {
        "name": view.name,
        "search": view.search,
        "sort": view.sort.value,
        "columns": str(view.columns),
        "changed_at": time.time(),
    }
    named = saved_views.c.name == view.name
    with db.writing() as connection:
        gone = connection.execute(delete(saved_views).where(named)).rowcount
        if gone and not replace:
            raise Conflict(f"There is a view {view.name!r} already: replace it, or name another.")
        kept = connection.scalar(select(func.count()).select_from(saved_views)) or 0
        if kept >= MAX_VIEWS:
            raise Conflict(f"There are {MAX_VIEWS} views, which is the limit: remove one first.")
        connection.execute(insert(saved_views), values)
        return not gone


def remove(db: Database, name: str) -> bool:
    """Takes one away; False where there is none of that name."""
    with db.writing() as connection:
        return (
            connection.execute(delete(saved_views).where(saved_views.c.name == name)).rowcount > 0
        )


def _view(name: str, search: str, sort: str, columns: str, changed_at: float) -> SavedView:
    try:
        chosen = parse_columns([columns])
    except BadInput:  # a column that this version does not have
        chosen = USUAL
    return SavedView(name=name, search=search, sort=parse_sort(sort), columns=chosen)
