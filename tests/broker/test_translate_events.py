"""Each of Celery's events, and what it means."""

import json
from dataclasses import fields

import pytest

from app.broker import texts
from app.domain.events import (
    Event,
    TaskCancelled,
    TaskFailed,
    TaskProgressed,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSent,
    TaskStarted,
    TaskSucceeded,
    WorkerHeartbeat,
    WorkerOffline,
)
from tests.broker.messages import HEARD_AT, envelope, event, heard, task_event, translated

AT = HEARD_AT - 1
TASK = {"task_id": "t1", "at": AT, "heard_at": HEARD_AT}
BY_WORKER = {**TASK, "worker": "w1@vm"}

CASES: list[tuple[dict[str, object], Event]] = [
    (
        task_event(
            "task-sent",
            name="mail.send",
            args="(1,)",
            kwargs="{'a': 2}",
            retries=1,
            eta="2026-11-22T18:00:00+00:00",
            expires="2026-11-22T19:00:00",
            queue="mail",
            exchange="",
            routing_key="mail",
            root_id="r1",
            parent_id="p1",
        ),
        TaskSent(
            **TASK,
            name="mail.send",
            args_repr="(1,)",
            kwargs_repr="{'a': 2}",
            retries=1,
            eta=1_795_370_400.0,
            expires=1_795_374_000.0,
            queue="mail",
            root_id="r1",
            parent_id="p1",
        ),
    ),
    (
        task_event("task-sent", umbel={"args": [1], "kwargs": {}, "retry_of": "t0", "priority": 6}),
        TaskSent(**TASK, args="[1]", kwargs="{}", retry_of="t0", priority=6),
    ),
    (task_event("task-sent", umbel={"retry_of": None, "priority": None}), TaskSent(**TASK)),
    (
        task_event("task-received", name="a", root_id="t1", parent_id="t1", eta=None),
        TaskReceived(**BY_WORKER, name="a", root_id="t1"),
    ),
    (task_event("task-started"), TaskStarted(**BY_WORKER)),
    (
        task_event("task-succeeded", result="'ok'", runtime=0.25),
        TaskSucceeded(**BY_WORKER, result_repr="'ok'", runtime=0.25),
    ),
    (
        task_event("task-succeeded", result="None", runtime=None),
        TaskSucceeded(**BY_WORKER, result_repr="None"),
    ),
    (
        task_event("task-failed", exception="ValueError('no')", traceback="Traceback…\n"),
        TaskFailed(**BY_WORKER, exception="ValueError('no')", traceback="Traceback…\n"),
    ),
    (
        task_event(
            "task-failed",
            exception="ExceptionWithTraceback()",
            traceback='\n"""\nTraceback:\nbilliard.exceptions.WorkerLostError: signal 9\n"""\n',
        ),
        TaskFailed(
            **BY_WORKER,
            exception="billiard.exceptions.WorkerLostError: signal 9",
            traceback='\n"""\nTraceback:\nbilliard.exceptions.WorkerLostError: signal 9\n"""\n',
        ),
    ),
    (
        task_event("task-retried", exception="OSError()", traceback="T"),
        TaskRetried(**BY_WORKER, exception="OSError()", traceback="T"),
    ),
    (task_event("task-rejected", requeue=True), TaskRejected(**BY_WORKER, requeue=True)),
    (
        task_event("task-revoked", terminated=True, signum=15, expired=False),
        TaskRevoked(**BY_WORKER, terminated=True, signal="SIGTERM"),
    ),
    (
        task_event("task-revoked", terminated=False, signum=None, expired=True),
        TaskRevoked(**BY_WORKER, expired=True),
    ),
    (
        task_event("task-revoked", terminated=True, signum="SIGKILL"),
        TaskRevoked(**BY_WORKER, terminated=True, signal="SIGKILL"),
    ),
    (task_event("task-cancelled"), TaskCancelled(**BY_WORKER)),
    (
        task_event("task-progress", current=1, total=10, message="a tenth"),
        TaskProgressed(**BY_WORKER, current=1.0, total=10.0, message="a tenth"),
    ),
    (
        task_event("task-image-resized", size="big"),
        TaskProgressed(**BY_WORKER, custom_state="IMAGE-RESIZED"),
    ),
    (
        event(
            "worker-heartbeat",
            freq=2.0,
            active=1,
            processed=7,
            loadavg=[0.5, 0.25, 0.1],
            sw_ident="py-celery",
            sw_ver="5.7.0",
            sw_sys="Linux",
        ),
        WorkerHeartbeat(
            worker="w1@vm",
            at=AT,
            heard_at=HEARD_AT,
            pid=9,
            active=1,
            processed=7,
            loadavg=(0.5, 0.25, 0.1),
            frequency=2.0,
            software="py-celery 5.7.0 Linux",
        ),
    ),
    (
        event("worker-online", freq=2.0),
        WorkerHeartbeat(
            worker="w1@vm", at=AT, heard_at=HEARD_AT, online=True, pid=9, frequency=2.0
        ),
    ),
    (event("worker-offline"), WorkerOffline(worker="w1@vm", at=AT, heard_at=HEARD_AT)),
]


@pytest.mark.parametrize(("body", "meant"), CASES, ids=lambda case: str(type(case).__name__))
def test_an_event_means_what_celery_says(body: dict[str, object], meant: Event) -> None:
    assert translated(body) == meant
    assert translated([body]) == meant


def test_a_batch_is_every_event_of_it_in_order() -> None:
    body = [task_event("task-received", uuid="a"), task_event("task-started", uuid="b")]
    found = heard(envelope(body))
    assert [type(one) for one in found.events] == [TaskReceived, TaskStarted]
    assert heard(envelope([])).events == []


def test_a_clock_that_cannot_be_right_is_not_believed() -> None:
    for stamp in (-1, 0, HEARD_AT + texts.CLOCK_AHEAD + 1, 1e308, None):
        assert translated(task_event("task-started", timestamp=stamp)).at == HEARD_AT
    for stamp in (HEARD_AT + texts.CLOCK_AHEAD - 1, HEARD_AT - 10 * 365 * 86_400, 1):
        assert translated(task_event("task-started", timestamp=stamp)).at == stamp


def test_nan_as_a_time_is_when_it_was_heard() -> None:
    for stamp in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1" * 400):
        body = b'{"type": "task-started", "uuid": "t1", "timestamp": %s}' % stamp
        assert [one.at for one in heard(envelope(body)).events] == [HEARD_AT]


def test_true_arguments_stay_exactly_as_they_were_sent() -> None:
    exact = '[12345678901234567890123, 1.10, "\\u00e9", {"b": 1, "a": 2}]'
    raw = json.dumps(task_event("task-sent", umbel={"args": 0})).replace(
        '"args": 0', f'"args": {exact}'
    )
    assert translated(raw.encode()).args == exact


def test_msgpack_events_are_read_and_pickled_ones_never() -> None:
    import msgspec

    body = msgspec.msgpack.encode(task_event("task-succeeded", result="3"))
    kind = {"content-type": "application/x-msgpack", "content-encoding": "binary"}
    assert translated(body, **kind).result_repr == "3"


def test_every_field_of_an_event_is_of_its_type() -> None:
    """The domain's values are typed: what came in as a whole number is a number of seconds."""
    for body, _ in CASES:
        found = translated(body)
        for field in fields(found):
            assert not isinstance(getattr(found, field.name), bytes | list | dict)
