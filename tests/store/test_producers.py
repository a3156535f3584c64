"""How far producers have counted, kept among the positions."""

from app.store import positions, producers
from app.store.database import Database
from app.store.producers import PREFIX
from app.store.writer import Batch, commit


def test_any_number_of_producers_is_forgotten_and_nothing_else(db: Database) -> None:
    gone = [f"{PREFIX}w{number}@host|1|abcd" for number in range(70_000)]
    kept = f"{PREFIX}another|1|abcd"
    known = dict.fromkeys([*gone, kept], "7 1.000")
    commit(db, Batch(positions={**known, "umbel:events": "1-1"}))
    producers.forget(db, gone)
    assert producers.all_known(db) == {kept: "7 1.000"}
    assert positions.get(db, "umbel:events") == "1-1"
