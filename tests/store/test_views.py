"""Saved views in either database: everybody's, by name, and no more than a menu has room for."""

import pytest

from app.domain.columns import parse_columns
from app.domain.errors import BadInput, Conflict
from app.domain.filters import Sort
from app.domain.views import MAX_NAME, MAX_VIEWS, SavedView, read_view
from app.store import views
from app.store.database import Database


def test_a_view_is_kept_replaced_when_asked_and_removed(db: Database) -> None:
    failed = read_view("Failed  today", "since:24h state:failure", "-runtime", ["ran,state"])
    other = SavedView(name="all of it")

    assert views.save(db, failed, replace=False)
    assert views.save(db, other, replace=True)
    assert views.list_all(db) == [other, failed]
    assert failed.search == "state:failure since:24h"
    assert failed.columns == parse_columns(["state,task,ran"])
    with pytest.raises(Conflict, match="already"):
        views.save(db, SavedView(name="Failed today"), replace=False)
    assert views.list_all(db) == [other, failed]
    changed = SavedView(name="Failed today", sort=Sort.OLDEST)
    assert not views.save(db, changed, replace=True)
    assert views.list_all(db) == [other, changed]
    assert views.remove(db, "all of it")
    assert not views.remove(db, "all of it")
    assert views.list_all(db) == [changed]


def test_no_more_views_are_kept_than_the_limit(db: Database) -> None:
    for number in range(MAX_VIEWS):
        views.save(db, SavedView(name=f"view {number}"), replace=False)
    with pytest.raises(Conflict, match="limit"):
        views.save(db, SavedView(name="one more"), replace=True)
    assert not views.save(db, SavedView(name="view 7", search="x"), replace=True)
    assert len(views.list_all(db)) == MAX_VIEWS


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1), "a\0b", "a\u202eb"])
def test_a_name_that_nobody_can_read_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_view(name, "state:faild", "up", ["colour"])
    assert [error.loc[:2] for error in refused.value.errors] == [
        ("body", "name"),
        ("body", "q"),
        ("body", "sort"),
        ("body", "columns"),
    ]
