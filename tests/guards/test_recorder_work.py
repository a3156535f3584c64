"""What an event costs the recorder, counted on a fixed stream of 500 tasks that succeed.

Bounds are some 15 % above what there is, for other versions of Python and of libraries.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.broker.subscription import Heard
from app.broker.translate import translate
from app.broker.transport import Transport
from app.domain.events import Event, TaskEvent
from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.recorder.announce import pack
from app.recorder.believe import Beliefs, Believed
from app.store.database import Database
from app.store.writer import Batch, commit
from tests.guards.counting import bytes_of, calls_of, statements
from tests.recorder.support import event_message, life

TASKS = 500
EVENTS = 4 * TASKS
NOW = 1_795_372_577.0
TRANSPORT = Transport.from_options("redis://127.0.0.1:6379/0")

TRANSLATING = 16.4
"""Calls for each event, from a published message to a value; there are 14.3."""
BELIEVING = 15.0
"""Calls for each event, from values to tasks and tallies; there are 13.0."""
ENCODING = 56.5
"""Calls for each task, to its summary and its share of what is announced; there are 49.1."""
KEEPING = 59.5
"""Calls for each task of a transaction, in Python; there are 51.6. Rows are written in C."""
STATEMENTS = 16
"""SQL of a transaction, however many tasks are in it; there are 14."""
MOST = 705
"""Bytes for each event that are allocated at once: of values, tasks, summaries; there are 610."""
KNOWN = 1_450
"""Bytes for each task that stay in memory, as `Beliefs` remembers it; there are 1,260."""
LOOSE = 3
"""A bound this many times what there is guards nothing any more."""


def stream(prefix: str, tasks: int = TASKS, at: float = NOW) -> list[Heard]:
    said = [life(f"{prefix}-{number:08d}", at + number / 100) for number in range(tasks)]
    messages = [(event_message(TRANSPORT, event), event) for events in said for event in events]
    # When a task was heard of decides its place: those of one moment would be in each other's way.
    return [message._replace(heard_at=float(str(said["timestamp"]))) for message, said in messages]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A store in which a batch has been kept, so that statements are prepared."""
    db = Database.open(tmp_path)
    keep(db, *encoded(believed(Beliefs(), translated(stream("warm", 20, NOW - 60)))))
    yield db
    db.close()


def translated(messages: list[Heard]) -> list[Event]:
    return translate(messages, TRANSPORT).events


def believed(beliefs: Beliefs, events: list[Event]) -> Believed:
    tasks: list[TaskEvent] = events  # type: ignore[assignment]
    return beliefs.believe(tasks)


def encoded(found: Believed) -> tuple[Believed, bytes]:
    changes = [
        Change(f"1-{number}", "task", encode_summary(task))
        for number, task in enumerate(found.tasks)
    ]
    return found, pack(changes, [task.id for task in found.tasks]).payload


def keep(db: Database, found: Believed, _payload: bytes) -> None:
    commit(db, Batch(tasks=found.tasks, tallies=found.tallies))


def within(counted: float, units: int, bound: float) -> None:
    """Not above the bound, and not so far below that it should be tightened."""
    each = counted / units
    assert bound / LOOSE < each <= bound, f"{each:.2f} for each, and the bound is {bound}"


def test_an_event_costs_no_more_calls_than_before(db: Database) -> None:
    messages = stream("t")
    calls, events = calls_of(lambda: translated(messages))
    within(calls, EVENTS, TRANSLATING)
    calls, found = calls_of(lambda: believed(Beliefs(), events))
    within(calls, EVENTS, BELIEVING)
    assert len(found.tasks) == TASKS
    calls, (found, payload) = calls_of(lambda: encoded(found))
    within(calls, TASKS, ENCODING)
    calls, _ = calls_of(lambda: keep(db, found, payload))
    within(calls, TASKS, KEEPING)


def test_a_transaction_has_as_many_statements_for_one_task_as_for_many(db: Database) -> None:
    for prefix, tasks, at in (("one", 1, NOW), ("many", TASKS, NOW + 60)):
        found = believed(Beliefs(), translated(stream(prefix, tasks, at)))
        with statements() as counted:
            keep(db, found, b"")
        assert 0 < counted.total() <= STATEMENTS, counted


def test_an_event_costs_no_more_memory_than_before() -> None:
    warm, kept = Beliefs(), Beliefs()
    believed(warm, translated(stream("warm", 20)))
    messages = stream("t")

    def work() -> None:
        encoded(believed(kept, translated(messages)))

    most, stays, _ = bytes_of(work)
    assert len(kept) == TASKS
    within(most, EVENTS, MOST)
    within(stays, TASKS, KNOWN)


def test_counting_is_the_same_each_time() -> None:
    messages = stream("again", 10)

    def work() -> None:
        translated(messages)

    work()
    assert calls_of(work)[0] == calls_of(work)[0] > 0
