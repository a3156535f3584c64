"""What a stranger can publish: nothing of it raises, and nothing unfit comes out."""

import base64
import json
import pickle
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.broker import texts
from app.broker.subscription import Heard
from app.broker.translate import EVENT_LIMIT, translate
from app.broker.wire import KINDS
from app.domain.events import Event, TaskFailed
from tests.broker.messages import (
    HEARD_AT,
    TRANSPORT,
    envelope,
    event,
    heard,
    refused,
    result,
    task_event,
    translated,
)

EVIL = "<img src=x onerror=alert(1)>\x00\x1b[31m\ud800\u202e\n"


def texts_of(found: Event) -> Iterable[str]:
    for field in fields(found):
        value = getattr(found, field.name)
        if isinstance(value, str):
            yield value


def assert_fit(events: Iterable[Event]) -> None:
    """Everything in it can be stored, logged and sent."""
    for found in events:
        for text in texts_of(found):
            assert "\x00" not in text
            assert "\x1b" not in text
            text.encode()
            assert len(text) <= texts.VALUE_LIMIT
        for field in fields(found):
            value = getattr(found, field.name)
            if isinstance(value, float):
                assert -1e300 < value < 1e300
            if isinstance(value, int):
                assert 0 <= value < 1 << 53


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\x80\x04\xff\x00", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "not an envelope"),
        (b"{}", "not an envelope"),
        (b'{"body": 5}', "body of a wrong type"),
        (b'{"body": "*"}', "not base64"),
        (b'{"body": "\\ud800"}', "not base64"),
        (b'{"body": ""}', "not JSON"),
        (b" " * (EVENT_LIMIT + 1), "too large"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_what_is_no_message_is_counted_with_its_reason(payload: bytes, reason: str) -> None:
    found = heard(payload)
    assert (found.events, dict(found.reasons)) == ([], {reason: 1})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 5000, "not JSON"),
        (5, "not an event"),
        ([[task_event("task-started")]], "not an event"),
        ({}, "event type missing"),
        ({"type": 5}, "event type missing"),
        (event("custom-thing"), "unknown event type"),
        (event("worker-dances"), "unknown event type"),
        (event("task-started"), "uuid missing"),
        (task_event("task-started", uuid=None), "uuid of a wrong type"),
        (task_event("task-started", uuid={"a": 1}), "uuid of a wrong type"),
        (task_event("task-started", uuid=""), "task id missing"),
        (task_event("task-started", uuid="x" * 256), "task id too long"),
        (task_event("task-started", uuid="a\nb"), "task id not printable"),
        (task_event("task-started", uuid="a\x00"), "task id not printable"),
        (task_event("task-started", uuid="\ud800"), "task id not printable"),
        (task_event("task-progress", uuid="a\tb"), "task id not printable"),
        (event("worker-heartbeat", hostname=None), "worker name missing"),
        (event("worker-heartbeat", hostname=""), "worker name missing"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_event_is_counted_with_its_reason(body: object, reason: str) -> None:
    assert refused(body) == {reason: 1}


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "opened",))

    body = pickle.dumps(Bomb())
    for kind in ("application/x-python-serialize", "application/x-yaml", "text/plain", None, 5):
        assert refused(body, **{"content-type": kind}) == {"serializer": 1}
    assert heard(body, "celery-task-meta-t1").reasons == {"result serializer": 1}
    assert not (tmp_path / "opened").exists()


def test_compressed_events_are_not_inflated() -> None:
    headers = {"compression": "application/x-gzip"}
    assert refused(task_event("task-started"), headers=headers) == {"compressed": 1}


def test_a_field_of_a_wrong_type_costs_the_field_and_not_the_event() -> None:
    found = heard(
        envelope(
            task_event(
                "task-received",
                name={"a": 1},
                args=[1, 2],
                kwargs={"a": None},
                retries="many",
                eta=[],
                hostname=7,
                timestamp="yesterday",
                parent_id=5,
            )
        )
    )
    (received,) = found.events
    assert received.task_id == "t1"
    assert (received.args_repr, received.kwargs_repr) == ("[1, 2]", '{"a": null}')
    assert (received.name, received.worker, received.retries, received.eta) == (None, None, 0, None)
    assert found.reasons == {"field of a wrong type": 8}


def test_one_bad_event_does_not_take_its_batch_with_it() -> None:
    body = [
        task_event("task-started"),
        5,
        task_event("task-started", uuid=""),
        task_event("task-x"),
    ]
    found = heard(envelope(body))
    assert len(found.events) == 2
    assert found.malformed == 2


def test_huge_numbers_are_left_out() -> None:
    body = event(
        "worker-heartbeat",
        pid=-1,
        processed=10**30,
        active=1 << 60,
        freq=-3,
        loadavg=[1e9, -1, 0.5, 4, 5],
    )
    beat = translated(body)
    assert (beat.pid, beat.processed, beat.active, beat.frequency) == (None, None, None, None)
    assert beat.loadavg == (0.5,)
    assert translated(task_event("task-sent", retries=1 << 40)).retries == 0
    assert translated(task_event("task-succeeded", runtime=-5)).runtime is None
    assert translated(task_event("task-sent", eta=1e18, expires="+1")).eta is None
    assert translated(task_event("task-revoked", signum=10**9)).signal is None


def test_long_texts_are_shortened_and_names_stay_on_one_line() -> None:
    failed = translated(
        task_event("task-failed", exception="x" * 100_000, traceback="a" * 10**6 + "END")
    )
    assert isinstance(failed, TaskFailed)
    assert len(failed.exception or "") == texts.EXCEPTION_LIMIT
    assert len(failed.traceback or "") <= texts.TRACEBACK_LIMIT
    assert (failed.traceback or "").endswith("END")
    sent = translated(
        task_event("task-sent", name="n" * 600, queue="a\nb\u202ec", args="r" * 10**5)
    )
    assert len(sent.name) == texts.NAME_LIMIT
    assert sent.queue == "a�b�c"
    assert len(sent.args_repr) == texts.REPR_LIMIT


def test_a_task_that_failed_with_five_megabytes_has_failed() -> None:
    text = "<i>\n" * (5 << 18)
    found = translated(task_event("task-failed", exception=text, traceback=f"Traceback: {text}"))
    assert isinstance(found, TaskFailed)
    assert_fit([found])


def test_evil_texts_come_out_printable_and_encodable() -> None:
    found = heard(
        envelope(
            [
                task_event("task-received", name=EVIL, args=EVIL, kwargs=EVIL, hostname=EVIL),
                task_event("task-sent", umbel={"args": [EVIL], "kwargs": {EVIL: EVIL}}),
                task_event("task-failed", exception=EVIL, traceback=EVIL),
                task_event("task-progress", message=EVIL, current=1),
                event("worker-online", hostname=EVIL, sw_ident=EVIL),
            ]
        )
    )
    assert len(found.events) == 5
    assert_fit(found.events)
    assert found.events[2].exception == "<img src=x onerror=alert(1)>␀␛[31m�\u202e\n"
    assert json.loads(found.events[1].args) == [EVIL.replace("\ud800", "�")]


def test_evil_results_come_out_printable_and_encodable() -> None:
    found = [
        *result(result=[EVIL], name=EVIL, worker=EVIL, traceback=EVIL, queue=EVIL).events,
        *result(status="FAILURE", result={"exc_type": EVIL, "exc_message": [EVIL]}).events,
        *result(status="PROGRESS", result={"message": EVIL, "current": 1}).events,
        *result(status=EVIL, result=EVIL).events,
    ]
    assert len(found) == 4
    assert_fit(found)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELD_NAMES = sorted({name for kind in KINDS.values() for name in kind.__struct_fields__})
BODIES = st.builds(
    lambda kind, given, found: {"type": kind, "uuid": "t1", "hostname": "w", **given, **found},
    st.sampled_from([*KINDS, "task-custom", "other"]),
    st.fixed_dictionaries({}, optional={"uuid": JSON, "hostname": JSON, "umbel": JSON}),
    st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=5),
)


@given(st.binary(max_size=200), st.sampled_from(["/0.celeryev/x", "celery-task-meta-x", ""]))
def test_no_bytes_raise(payload: bytes, channel: str) -> None:
    found = heard(payload, channel)
    assert "unexpected" not in found.reasons
    assert found.events == []


@given(JSON | st.lists(BODIES | JSON, max_size=4) | BODIES, st.booleans())
def test_no_body_raises_and_all_that_comes_out_is_fit(body: object, whole: bool) -> None:
    found = heard(json.dumps(body).encode() if whole else envelope(body))
    assert "unexpected" not in found.reasons
    assert_fit(found.events)


@given(
    st.fixed_dictionaries({"body": JSON | st.just(base64.b64encode(b"[]").decode())}),
    st.dictionaries(
        st.sampled_from(["content-type", "headers", "properties", "content-encoding"]), JSON
    ),
)
def test_no_envelope_raises(required: dict[str, object], more: dict[str, object]) -> None:
    found = heard(json.dumps({**required, **more}).encode())
    assert "unexpected" not in found.reasons


@given(
    st.fixed_dictionaries(
        {"status": st.sampled_from(["SUCCESS", "FAILURE", "PROGRESS", "STARTED", "X"]) | JSON},
        optional={
            name: JSON
            | st.fixed_dictionaries({"exc_type": JSON, "exc_message": JSON})
            | st.fixed_dictionaries({"current": JSON, "total": JSON, "message": JSON})
            for name in ("result", "traceback", "date_done", "name", "args", "kwargs", "retries")
        },
    ),
    st.text(max_size=300),
)
def test_no_result_raises_and_all_that_comes_out_is_fit(
    document: dict[str, object], task_id: str
) -> None:
    channel = b"celery-task-meta-" + task_id.encode("utf-8", "surrogatepass")
    payload = json.dumps(document).encode()
    found = translate([Heard(channel, payload, HEARD_AT)], TRANSPORT)
    assert "unexpected" not in found.reasons
    assert_fit(found.events)
