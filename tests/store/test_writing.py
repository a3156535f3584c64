"""What is committed is what is read, whatever it holds; all of a batch or nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.filters import TaskFilter
from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState, Transition
from app.domain.workers import Worker, WorkerState
from app.store import announcements, audit, blind_windows, queues, rows, workers
from app.store.announcements import Announcement
from app.store.audit import AuditEntry
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.tasks import children, counts, get, get_many, page, retries_of
from app.store.writer import Batch, commit
from tests.store.checks import check_texts
from tests.store.samples import any_task, sample


def kept(value: object) -> object:
    """What the store makes of text that databases refuse."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(any_task, max_size=5), max_size=3))
def test_random_batches_are_read_back_as_they_were(
    fresh: Callable[[], Database], batches: list[list[Task]]
) -> None:
    db = fresh()
    last: dict[str, Task] = {}
    for batch in batches:
        commit(db, Batch(tasks=batch))
        last |= {task.id: task for task in batch}
    stored = get_many(db, list(last))
    assert stored.keys() == last.keys()
    for task_id, task in last.items():
        fields = (field for field in Task.__slots__ if field != "seq")
        for field in fields:
            assert getattr(stored[task_id], field) == kept(getattr(task, field)), field
    assert len({task.seq for task in stored.values()}) == len(stored)
    assert sum(counts(db).values()) == len(stored)
    for state, count in counts(db).items():
        assert count == sum(task.state is state for task in stored.values())
    check_texts(db)
    db.close()


def test_a_task_keeps_its_place_and_the_batch_is_told(db: Database) -> None:
    commit(db, Batch(tasks=[sample(1, id="a", seq=100)]))
    again = sample(1, id="a", seq=999, state=TaskState.SUCCESS)
    commit(db, Batch(tasks=[again]))
    assert again.seq == 100
    assert get(db, "a") == again


def test_tasks_of_one_moment_get_places_of_their_own(db: Database) -> None:
    many = [sample(number, id=f"t{number}", seq=7 << 10) for number in range(1_200)]
    commit(db, Batch(tasks=many[:800]))
    commit(db, Batch(tasks=many[800:]))
    assert len({task.seq for task in many}) == 1_200
    assert get_many(db, [task.id for task in many]) == {task.id: task for task in many}


def test_a_clock_centuries_off_is_stored_and_found(db: Database) -> None:
    many = [sample(number, seq=10**30 + number) for number in range(50)]
    many += [sample(number, seq=-number) for number in range(50, 99)]
    commit(db, Batch(tasks=many))
    assert len(page(db, TaskFilter(), limit=500).tasks) == 99


HOSTILE = (
    "\ud800", "a\0b", "\x1b[31m\r\n\x07", "<script>alert(1)</script>", "'; DROP TABLE tasks; --",
    "\udfff\ud800" * 500, "‮evil", '"' * 300, "\\u0000\\ud800", "ﷺ" * 100, "x" * 5_000_000,
)  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value[:12]))
def test_hostile_values_never_fail_a_commit(db: Database, value: str) -> None:
    task = Task(
        id=value, seq=5, name=value, custom_state=value, args=value, kwargs=value, result=value,
        args_repr=value, kwargs_repr=value, result_repr=value, exception=value, traceback=value,
        queue=value, worker=value, progress_message=value, root_id=value, parent_id=value,
        group_id=value, retry_of=value, priority=10**30, retries=-(10**30), eta=float("inf"),
        runtime=float("nan"),
        transitions=[Transition(TaskState.FAILURE, float("inf"), value, 0, value)],
    )  # fmt: skip
    worker = Worker(name=value, software=value, queues=(value,), catalog=((value, value),))
    commit(
        db,
        Batch(
            tasks=[task, sample(1)],
            workers=[worker],
            queues=[Queue(name=value, measured_at=1.0, oldest_id=value, consumers=(value,))],
            blind_windows=[BlindWindow(began_at=1.0, cause=value, note=value)],
        ),
    )
    audit.record(db, AuditEntry(at=1.0, actor=value, action=value, target=value, detail=value))
    [_, shown] = page(db, TaskFilter()).tasks
    whole = get(db, shown.id)
    assert whole is not None
    assert whole.eta is None
    assert whole.transitions[0].state is TaskState.FAILURE
    assert len(workers.list_all(db)) == len(queues.list_all(db)) == 1
    commit(db, Batch(tasks=[task], workers=[worker]))
    assert len(page(db, TaskFilter()).tasks) == 2
    check_texts(db)


def test_a_long_value_is_whole_on_its_own_and_its_beginning_is_searched(db: Database) -> None:
    long = '["needle-one' + "x" * 900_000 + 'needle-two"]'
    commit(db, Batch(tasks=[sample(1, id="a", args=long, args_repr=None)]))
    stored = get(db, "a")
    assert stored is not None
    assert stored.args == long
    assert stored.args_repr is None
    assert page(db, TaskFilter(text="needle-one")).tasks
    assert not page(db, TaskFilter(text="needle-two")).tasks
    commit(db, Batch(tasks=[sample(1, id="a", args='["short"]')]))
    stored = get(db, "a")
    assert stored is not None
    assert stored.args == '["short"]'
    assert not page(db, TaskFilter(text="needle-one")).tasks


def test_of_a_value_over_the_limit_the_beginning_stays(db: Database) -> None:
    huge = "[" + "1," * rows.VALUE_LIMIT + "1]"
    commit(db, Batch(tasks=[sample(1, id="a", result=huge, result_repr=None)]))
    stored = get(db, "a")
    assert stored is not None
    assert stored.result is None
    assert stored.result_repr == huge[: rows.HEAD] + "…"


def test_of_an_endless_story_the_first_and_latest_steps_stay(db: Database) -> None:
    steps = [Transition(TaskState.RETRY, float(number), "w", number) for number in range(5_000)]
    commit(db, Batch(tasks=[sample(1, id="a", transitions=steps)]))
    stored = get(db, "a")
    assert stored is not None
    assert len(stored.transitions) == rows.TRANSITIONS_LIMIT
    assert stored.transitions[0] == steps[0]
    assert stored.transitions[-1] == steps[-1]


def test_a_batch_stands_whole_or_not_at_all(db: Database) -> None:
    broken = Batch(tasks=[sample(1)], workers=[Worker(name="w")])
    broken.queues.append(Queue(name="q", measured_at=None))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        commit(db, broken)
    assert page(db, TaskFilter()).tasks == []
    assert workers.list_all(db) == []


def test_children_and_retries_are_found_from_their_origin(db: Database) -> None:
    first = sample(1, id="first")
    child = sample(2, id="child", parent_id="first", root_id="first")
    again = sample(3, id="again", retry_of="first")
    commit(db, Batch(tasks=[again, child, first]))
    assert [task.id for task in children(db, "first")] == ["child"]
    assert [task.id for task in retries_of(db, "first")] == ["again"]


def test_workers_and_queues_are_read_back_as_they_were(db: Database) -> None:
    catalog = (("add", '{"doc": null}'), ("none", None))
    one = Worker(
        name="celery@w1", since=1.0, loadavg=(0.5, 1.0), queues=("a", "b"), catalog=catalog
    )
    two = replace(one, name="celery@w2", state=WorkerState.LOST, catalog=None, queues=None)
    queue = Queue(name="celery", measured_at=60.0, depths=((0, 3), (9, 1)), consumers=("w",))
    commit(db, Batch(workers=[two, one], queues=[queue]))
    later = replace(queue, measured_at=90.0, depths=((0, 1),))
    commit(db, Batch(queues=[later]))
    assert workers.list_all(db) == [one, two]
    assert workers.get(db, "celery@w2") == two
    assert workers.get(db, "nobody") is None
    assert queues.get(db, "celery") == later
    assert queues.depths(db, "celery", 0, 120) == [(60, 4)]


def test_the_age_of_the_oldest_message_is_kept_by_the_minute_where_it_is_known(
    db: Database,
) -> None:
    one = Queue(name="celery", measured_at=61.0, depths=((0, 3),), oldest_sent_at=31.0)
    for queue in (
        replace(one, oldest_sent_at=None),
        one,
        replace(one, measured_at=70.0, oldest_sent_at=55.0),
        replace(one, measured_at=80.0, oldest_sent_at=None),
        replace(one, measured_at=130.0, depths=((0, 0),), oldest_sent_at=None),
        replace(one, measured_at=190.0, oldest_sent_at=10.0),
    ):
        commit(db, Batch(queues=[queue]))

    by_minute = queues.depths_by_step(db, "celery", 0, 240, 60)
    assert by_minute == {60: (3, 30.0), 120: (0, None), 180: (3, 180.0)}
    assert queues.depths_by_step(db, "celery", 0, 240, 240) == {0: (3, 180.0)}


def test_an_announcement_stays_until_it_is_announced(db: Database) -> None:
    commit(db, Batch(announcement=Announcement(b"one", "1-0", "1-4")))
    commit(db, Batch(announcement=Announcement(b"two", "2-0", "2-0")))
    one, two = announcements.pending(db)
    assert (one.payload, one.first_id, one.last_id) == (b"one", "1-0", "1-4")
    announcements.announced(db, one.number)
    assert announcements.pending(db) == [two]
    announcements.announced(db, two.number)
    commit(db, Batch(announcement=Announcement(b"three", "3-0", "3-0")))
    assert announcements.pending(db)[0].number > two.number


def test_a_blind_window_is_completed_when_more_is_known(db: Database) -> None:
    commit(db, Batch(blind_windows=[BlindWindow(began_at=1.0, cause="start")]))
    healed = BlindWindow(began_at=1.0, cause="start", ended_at=2.0, healed_at=3.0, note="2 tasks")
    commit(db, Batch(blind_windows=[healed]))
    [found] = blind_windows.latest(db)
    assert replace(found, id=None) == healed


def test_the_outcome_of_an_action_is_written_once(db: Database) -> None:
    entry = AuditEntry(at=1.0, actor="ann", address="127.0.0.1", action="revoke", target="a")
    number = audit.record(db, entry)
    audit.outcome(db, number, "done", 2.0)
    audit.outcome(db, number, "something else", 3.0)
    audit.record(db, replace(entry, target="b"))
    [found] = audit.entries(db, "a")
    assert found == replace(entry, id=number, outcome="done", outcome_at=2.0)
    assert [entry.target for entry in audit.entries(db)] == ["b", "a"]
