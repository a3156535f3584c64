"""What healing reads: tasks that may have ended unheard, page by page."""

from app.domain.events import TaskReceived, TaskSent
from app.domain.reduce import begin, reduce
from app.domain.tasks import Task, TaskState
from app.store.database import Database
from app.store.tasks import get
from app.store.unsettled import in_states, known, lost_since, some, without_value
from app.store.writer import Batch, commit
from tests.store.samples import NOON, sample

OPEN = [state for state in TaskState if not state.ended]


def test_tasks_in_some_states_come_oldest_first_and_none_is_left_out(db: Database) -> None:
    many = [sample(number) for number in range(300)]
    commit(db, Batch(tasks=many))
    found: list[Task] = []
    after = -1
    while got := in_states(db, OPEN, 7, after):
        found += got
        after = got[-1].seq
    expected = [task for task in many if not task.state.ended]
    assert [(task.id, task.state, task.queue, task.worker) for task in found] == [
        (task.id, task.state, task.queue, task.worker) for task in expected
    ]


def test_a_task_read_lightly_has_the_mark_of_the_whole_one(db: Database) -> None:
    task = begin(TaskSent(task_id="t", at=NOON + 0.1, heard_at=NOON + 0.2, queue="mail"))
    reduce(task, TaskReceived(task_id="t", at=NOON + 0.3, heard_at=NOON + 0.4, worker="w"))
    commit(db, Batch(tasks=[task]))
    [light] = some(db, ["t", "never heard of"])
    whole = get(db, "t")
    assert whole is not None
    assert light.mark == whole.mark == task.mark
    assert known(db, ["t", "never heard of"]) == {"t"}


def test_the_latest_lost_tasks_come_first(db: Database) -> None:
    lost = [sample(number, state=TaskState.LOST) for number in range(10)]
    commit(db, Batch(tasks=[*lost, sample(20, state=TaskState.SUCCESS)]))
    first = lost_since(db, NOON + 0.003, 4)
    rest = lost_since(db, NOON + 0.003, 4, before=first[-1].seq)
    assert [task.id for task in [*first, *rest]] == [task.id for task in reversed(lost[3:])]


def test_successes_of_a_span_without_their_value_are_found(db: Database) -> None:
    def success(number: int, **more: object) -> Task:
        values = {"finished_at": NOON + number, "result": None, "id": f"t{number}"}
        return sample(number, state=TaskState.SUCCESS, **(values | more))

    commit(
        db,
        Batch(
            tasks=[
                success(1),
                success(2, result='"there"'),
                success(3, result="[" + "1, " * 20_000 + "1]"),
                success(4),
                success(90),
                sample(5, state=TaskState.FAILURE, result=None, finished_at=NOON + 5),
            ]
        ),
    )
    found: list[str] = []
    ids, before = without_value(db, NOON, NOON + 60, 2)
    found += ids
    while before is not None:
        ids, before = without_value(db, NOON, NOON + 60, 2, before)
        found += ids
    assert found == ["t4", "t1"]
