"""Tasks, workers and queues as JSON: the contract's names, order and exactness."""

import json
import math

import pytest

from app.domain.filters import print_time
from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState, Transition, seq_of
from app.domain.workers import Worker, WorkerState
from app.feed.codec import SUMMARY_VALUE, decode_summary, encode_summary, encode_task
from app.feed.fleet import decode_queue, decode_worker, encode_queue, encode_worker
from app.feed.times import moment

NOW = 1_795_372_577.053408
CONTRACT = [
    "id",
    "name",
    "state",
    "args",
    "kwargs",
    "result",
    "exception",
    "traceback",
    "queue",
    "worker",
    "priority",
    "retries",
    "eta",
    "expires",
    "sent_at",
    "received_at",
    "started_at",
    "finished_at",
    "wait_seconds",
    "runtime_seconds",
    "progress",
    "root_id",
    "parent_id",
    "group_id",
    "retry_of",
    "transitions",
    "links",
]


def a_task(**more: object) -> Task:
    fields: dict[str, object] = {
        "id": "3e484b3a-07e8-4a1f-8e6a-a479563c6178",
        "seq": seq_of(NOW, 5),
        "name": "worker.tasks.add",
        "state": TaskState.SUCCESS,
        "args": "[2, 3]",
        "kwargs": "{}",
        "result": "5",
        "queue": "celery",
        "worker": "celery@w1",
        "priority": 0,
        "sent_at": NOW,
        "received_at": NOW + 0.001,
        "started_at": NOW + 0.003,
        "finished_at": NOW + 0.004,
        "runtime": 0.001,
        "transitions": [
            Transition(TaskState.PENDING, NOW),
            Transition(TaskState.STARTED, NOW + 0.003, "celery@w1", 1, "again"),
        ],
    }
    return Task(**{**fields, **more})  # type: ignore[arg-type]


def test_a_whole_task_has_the_fields_of_the_contract_in_their_order() -> None:
    names = list(json.loads(encode_task(a_task())))
    assert [name for name in names if name in CONTRACT] == CONTRACT


def test_a_summary_has_the_same_fields_less_traceback_and_transitions() -> None:
    names = list(json.loads(encode_summary(a_task(traceback="Traceback …"))))
    wanted = [name for name in CONTRACT if name not in ("traceback", "transitions")]
    assert [name for name in names if name in CONTRACT] == wanted
    assert "traceback" not in names


def test_a_task_says_what_the_contract_shows() -> None:
    shown = json.loads(encode_task(a_task(progress_current=3.0, progress_total=10.0)))
    assert shown["state"] == "SUCCESS"
    assert shown["args"] == [2, 3]
    assert shown["sent_at"] == print_time(NOW)
    assert shown["wait_seconds"] == 0.003
    assert shown["runtime_seconds"] == 0.001
    assert shown["progress"] == {"current": 3, "total": 10, "message": None}
    assert shown["transitions"] == [
        {"state": "PENDING", "at": print_time(NOW)},
        {
            "state": "STARTED",
            "at": print_time(NOW + 0.003),
            "worker": "celery@w1",
            "attempt": 1,
            "note": "again",
        },
    ]
    own = "/tasks/3e484b3a-07e8-4a1f-8e6a-a479563c6178"
    assert shown["links"] == {"self": own, "events": f"{own}/events", "page": f"/ui{own}"}


def test_a_summary_is_read_back_as_it_was() -> None:
    task = a_task(progress_message="half", progress_current=0.5, root_id="r", retry_of="x y/ü")
    found = decode_summary(encode_summary(task))
    assert found.seq == task.seq
    assert encode_summary(found) == encode_summary(task)


def test_values_stay_exactly_as_they_came() -> None:
    text = '{"b": 123456789012345678901234567890, "a": 1.0, "a": 1e400}'
    assert text.encode() in encode_summary(a_task(result=text))
    assert text.encode() in encode_task(a_task(result=text))


def test_long_values_are_left_out_of_a_summary_and_shown_by_their_beginning() -> None:
    long = json.dumps("x" * 5000)
    shown = json.loads(encode_summary(a_task(result=long, exception="e" * 60_000)))
    assert shown["result"] is None
    assert len(shown["result_repr"]) == len(shown["exception"]) == SUMMARY_VALUE
    assert json.loads(encode_task(a_task(result=long)))["result"] == "x" * 5000


def test_a_value_of_which_only_the_repr_is_known_is_null_beside_it() -> None:
    shown = json.loads(encode_summary(a_task(args=None, args_repr="(<object>,)")))
    assert shown["args"] is None
    assert shown["args_repr"] == "(<object>,)"


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    'quote " back \\ slash',
    "line\nbreak\r\u2028",
    "\x00\x1f control",
    "lone \ud800 surrogate",
    "%s %d %",
    "../../etc/passwd?x=1#y",
    "💥",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_any_field_still_gives_json(text: str) -> None:
    task = a_task(
        id=text,
        name=text,
        queue=text,
        worker=text,
        exception=text,
        traceback=text,
        args=None,
        args_repr=text,
        progress_message=text,
        custom_state=text,
        parent_id=text,
        transitions=[Transition(TaskState.FAILURE, NOW, text, 0, text)],
    )
    assert json.loads(encode_task(task))["kwargs"] == {}
    summary = encode_summary(task)
    assert b"\n" not in summary
    assert json.loads(summary)["links"]["self"].isascii()
    assert decode_summary(summary).id


def test_escaped_lone_surrogates_in_a_value_do_not_stop_a_reader() -> None:
    assert decode_summary(encode_summary(a_task(args='["\\ud800"]'))).args is not None


@pytest.mark.parametrize("seconds", [math.inf, -math.inf, math.nan, 1e300, -1e300])
def test_times_that_no_calendar_has_are_null(seconds: float) -> None:
    assert json.loads(encode_summary(a_task(eta=seconds, runtime=seconds)))["eta"] is None


@pytest.mark.parametrize("seconds", [0.0, 1.9999999, NOW, 4_102_444_799.999999, 0.000001])
def test_times_are_printed_as_everywhere(seconds: float) -> None:
    assert moment(seconds) == print_time(round(seconds, 6))


def test_a_worker_is_read_back_without_its_catalog() -> None:
    worker = Worker(
        name="celery@w 1",
        state=WorkerState.LOST,
        since=NOW,
        heard_at=NOW,
        skew=0.25,
        loadavg=(0.1, 0.2, 0.3),
        queues=("a", "b"),
    )
    assert decode_worker(encode_worker(worker)) == worker
    assert json.loads(encode_worker(worker))["links"]["self"] == "/workers/celery%40w%201"


def test_a_worker_shows_its_registered_tasks_when_asked() -> None:
    worker = Worker(name="w", catalog=(("a.b", '{"doc": "x"}'), ("c", None)))
    assert "tasks" not in json.loads(encode_worker(worker))
    assert json.loads(encode_worker(worker, tasks=True))["tasks"] == [
        {"name": "a.b", "document": {"doc": "x"}},
        {"name": "c", "document": None},
    ]


def test_a_queue_says_how_long_its_oldest_message_waits() -> None:
    queue = Queue(
        name="mail",
        measured_at=NOW,
        depths=((0, 2), (9, 1)),
        unacked=4,
        oldest_id="x",
        oldest_sent_at=NOW - 2.5,
        consumers=("w1",),
    )
    shown = json.loads(encode_queue(queue))
    assert shown["waiting"] == 3
    assert shown["depths"] == [{"priority": 0, "waiting": 2}, {"priority": 9, "waiting": 1}]
    assert shown["oldest_wait_seconds"] == 2.5
    assert decode_queue(encode_queue(queue)) == queue
