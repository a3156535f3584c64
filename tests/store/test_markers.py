"""Markers are kept in order of time, up to a number, and go with the tasks of their time."""

from sqlalchemy import insert

from app.store.database import Database
from app.store.markers import KEPT, Marker, add, between, remove
from app.store.retention import prune
from app.store.schema import markers
from tests.store.samples import NOON


def test_markers_are_found_by_their_time_the_newest_first(db: Database) -> None:
    later = add(db, Marker(at=NOON + 60, title="later", version="v2", url="https://example.com"))
    first = add(db, Marker(at=NOON, title="first \0 東京"))

    found = between(db)
    assert [one.id for one in found] == [later, first]
    assert (found[0].version, found[0].url) == ("v2", "https://example.com")
    assert found[1].title.startswith("first ")
    assert [one.id for one in between(db, NOON + 1)] == [later]
    assert [one.id for one in between(db, NOON, NOON + 60)] == [first]
    assert remove(db, first)
    assert not remove(db, first)
    assert [one.id for one in between(db)] == [later]


def test_only_the_newest_are_kept(db: Database) -> None:
    rows = [{"at": NOON + number, "title": f"m{number}"} for number in range(KEPT)]
    with db.writing() as connection:
        connection.execute(insert(markers), rows)
    add(db, Marker(at=NOON + KEPT, title="newest"))

    found = between(db)
    assert len(found) == KEPT
    assert (found[0].title, found[-1].title) == ("newest", "m1")


def test_old_markers_go_with_the_tasks_of_their_time(db: Database) -> None:
    add(db, Marker(at=NOON, title="old"))
    kept = add(db, Marker(at=NOON + 60, title="kept"))
    while prune(db, NOON + 1):
        pass
    assert [one.id for one in between(db)] == [kept]
